// What the pages share: their data, elements, numbers, heat maps, light and dark.

const DATA = JSON.parse(document.getElementById("data").textContent);

/** The element with this id. */
function byId(id) {
  return document.getElementById(id);
}

/** A new element. Text is set as text, never parsed: a token "<script>" is shown, not run. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A new element of an SVG picture. */
function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A number in four digits, as the graph's cards write it. JSON has no NaN: it comes as a string. */
function short(x) {
  if (typeof x === "string") x = Number(x);
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const size = Math.abs(x);
  const text = size >= 1e5 || size < 1e-4 ? x.toExponential(2) : String(Number(x.toPrecision(4)));
  return text.replaceAll("-", "−");
}

/** A token whose every character can be seen: the same as `readable` in viz/figure/characters.py. */
function readable(token) {
  const code = (character) => `⟨U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  const shown = token
    .replaceAll(" ", "␣").replaceAll("\t", "⇥").replaceAll("\n", "⏎")
    .replaceAll(/\p{Cs}/gu, "\ufffd")
    .replaceAll(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Z}]/gu, code);
  if (/^[\u200c\u200d]+$/.test(shown)) return shown.replaceAll(/./gu, code);
  return /^\p{M}/u.test(shown) ? `◌${shown}` : shown;
}

/** About how many letters wide a token is; those of East Asia and emoji count twice. */
function widthOf(token) {
  return [...readable(token)].reduce((sum, character) => sum + (character > "\u2e7f" ? 2 : 1), 0);
}

/** The nearest of the places 0 to count − 1; 0 for what is no number. */
function within(place, count) {
  return Math.max(0, Math.min(count - 1, place || 0));
}

let remembering = 0; // the timer of the next change of the address

/** Keep what the reader looks at in the page's address, once it stays for a moment: browsers refuse
 * a hundred changes in a row. A frame in a notebook has no address of its own. */
function remember(fragment) {
  if (location.protocol === "about:") return;
  clearTimeout(remembering);
  remembering = setTimeout(() => history.replaceState(null, "", `#${fragment}`), 200);
}

/** Call `act` for each key that is pressed in `target` and is no command of the browser. It says
 * whether it has used the key, which then does nothing else. */
function onKey(target, act) {
  target.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (act(event)) event.preventDefault();
  });
}

/** The tint of a value in a heat map whose largest value has size `most`: its sign by the colour,
 * its size by the strength (of its square root, so that small values can be seen). */
function tint(value, most) {
  if (!Number.isFinite(value)) return "var(--mark)";
  const strength = most > 0 ? Math.sqrt(Math.min(1, Math.abs(value) / most)) : 0;
  const colour = value < 0 ? "var(--negative)" : "var(--positive)";
  return `color-mix(in srgb, ${colour} ${Math.round(60 * strength)}%, var(--paper))`;
}

/** A matrix (an array of rows) as a table of tinted cells; pointing at one tells all its digits. */
function heat(rows, most = largest(rows.flat())) {
  const table = element("table", { class: "heat number" });
  for (const row of rows) {
    const line = element("tr");
    for (const cell of row) {
      const value = Number(cell);
      line.append(element("td", { title: String(value), style: `background: ${tint(value, most)}` }, short(value)));
    }
    table.append(line);
  }
  return table;
}

/** The largest size among finite values. */
function largest(values) {
  let most = 0;
  for (const value of values) {
    const size = Math.abs(Number(value));
    if (Number.isFinite(size) && size > most) most = size;
  }
  return most;
}

/** The values of what `packed` in page.py made, in C order. */
async function unpacked({ data, bytes }) {
  return new (bytes === 8 ? Float64Array : Float32Array)(await inflated(data));
}

/** The bytes of what has been deflated and written as base64. */
async function inflated(data) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i); // ten times as fast as `from`
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// The colours of attention weights from 0 to 1, in equal steps of lightness: on white those of
// viz/figure/maps.py, on black from near black to light blue.
const WEIGHT_COLOURS = {
  light: ["#f0f8fb", "#a5d0e3", "#5ca6d1", "#1f7ab8", "#004f90", "#0a2859"],
  dark: ["#1b212b", "#123f66", "#1a6299", "#3f8bc4", "#7db8e2", "#d3ebfa"],
};

/** Paint weights (rows × columns, 0 to 1, in C order) on a canvas, one pixel each: CSS makes it as
 * large as it likes, with `image-rendering: pixelated`. Colours follow the square root of the
 * weight, so that small ones can be seen; after a change of theme (`onTheme`) paint again. */
function paintWeights(canvas, weights, rows, columns) {
  const colours = ramp(WEIGHT_COLOURS[isDark() ? "dark" : "light"]);
  paint(canvas, weights, rows, columns, (weight) => colours[Math.round(255 * Math.sqrt(Math.max(0, weight)))]);
}

/** Paint numbers of either sign on a canvas, as `paintWeights` does: the sign by the colour, 0 as
 * the paper, and the strongest colours at the size `most`. */
function paintSigned(canvas, values, rows, columns, most = largest(values)) {
  const colours = ramp(["--negative", "--paper", "--positive"].map(colourOf));
  paint(canvas, values, rows, columns, (value) => {
    const strength = most > 0 ? Math.sqrt(Math.min(1, Math.abs(value) / most)) : 0;
    return colours[Math.round(127.5 + 127.5 * Math.sign(value) * strength)];
  });
}

/** Paint a matrix on a canvas, one pixel each in the colour (0xAABBGGRR) that a number has. */
function paint(canvas, values, rows, columns, colour) {
  [canvas.width, canvas.height] = [columns, rows];
  const pixels = new Uint32Array(rows * columns);
  for (let i = 0; i < pixels.length; i++) pixels[i] = colour(values[i]);
  const image = new ImageData(new Uint8ClampedArray(pixels.buffer), columns, rows);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** 256 colours through the given ones ("#rrggbb"), as numbers 0xAABBGGRR. */
function ramp(stops) {
  const colours = stops.map((stop) => [5, 3, 1].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (stops.length - 1);
    const left = Math.min(Math.floor(place), stops.length - 2);
    const mixed = colours[left].map((a, k) => Math.round(a + (colours[left + 1][k] - a) * (place - left)));
    return mixed.reduce((number, part) => number * 256 + part, 255);
  });
}

/** Such as "Decoder cross-attention, layer 1, head 2". */
function fullName({ group, name }, head) {
  return `${group ? `${group}, ` : ""}${name}, head ${head + 1}`;
}

/** What stands along the sides of a layer's maps: what asks, what is asked, and, where a decoder
 * asks, what it writes then. */
function sidesOf({ asking, asked }) {
  const named = (side) => (side ? `: ${side === "target" ? "reads" : side}` : "");
  return { query: `query${named(asking)}`, key: `key${named(asked)}`, write: asking === "target" ? "to write" : "" };
}

/** Put a thumbnail of each head into `host`, a row per layer and a column per head under the name of
 * their group, and keep the buttons as each layer's `thumbnails`. A click calls `choose` with the
 * layer and the head. */
function buildThumbnails(host, layers, choose) {
  for (const group of new Set(layers.map((layer) => layer.group))) {
    const own = layers.filter((layer) => layer.group === group);
    const grid = element("div", { class: "heads", style: `--heads: ${Math.max(...own.map(({ heads }) => heads))}` });
    for (const layer of own) {
      const button = (_, head) => element("button", {
        type: "button",
        class: "thumbnail",
        title: fullName(layer, head),
        "aria-label": fullName(layer, head),
        style: `grid-column: ${head + 2}`,
        onclick: () => choose(layer, head),
      }, element("canvas"));
      layer.thumbnails = Array.from({ length: layer.heads }, button);
      grid.append(element("span", { class: "grey", title: layer.name }, layer.name), ...layer.thumbnails);
    }
    const { query, key } = sidesOf(own[0]);
    host.append(
      ...(group ? [element("h2", {}, group)] : []),
      element("p", { class: "sides grey" }, element("span", {}, `↓ ${query}`), element("span", {}, `→ ${key}`)),
      grid,
    );
  }
}

/** The colour, as "#rrggbb", that a variable of page.css has in the present theme. */
function colourOf(variable) {
  const probe = element("span", { style: `color: var(${variable})` });
  document.body.append(probe);
  const parts = getComputedStyle(probe).color.match(/\d+/g).slice(0, 3);
  probe.remove();
  return `#${parts.map((part) => Number(part).toString(16).padStart(2, "0")).join("")}`;
}

/** Whether the page is shown in dark: by its own button, or else by the reader's system. */
function isDark() {
  const chosen = document.documentElement.style.colorScheme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Call `paint` whenever light changes to dark or back, for what CSS cannot colour. */
function onTheme(paint) {
  document.addEventListener("theme", paint);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
}

/** Put into the header what changes between light and dark, a button and the key d; the reader's
 * system chooses the first. */
function addTheme() {
  const change = () => {
    document.documentElement.style.colorScheme = isDark() ? "light" : "dark";
    document.dispatchEvent(new Event("theme"));
  };
  const name = { title: "light or dark (d)", "aria-label": "light or dark" };
  document.querySelector("header.bar").append(element("button", { type: "button", ...name, onclick: change }, "◐"));
  onKey(document, ({ key }) => {
    if (key === "d") change();
    return key === "d";
  });
}
