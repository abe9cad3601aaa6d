// What all pages share: their data, elements, numbers, heat maps, walks, light and dark.

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

/** What `keys` has for the key that is pressed, if anything. A button keeps its own keys. */
function useKey({ key, target }, keys) {
  const isTaken = ["Enter", " "].includes(key) && target.closest("button, summary");
  if (!(key in keys) || isTaken) return false;
  keys[key]();
  return true;
}

/** Let a reader walk through places from 0 on: by a slider, by a button that plays, one place each
 * `pause` milliseconds, and by the keys that this returns. `where` tells the present place and the
 * last one; `go` goes to a place. */
function addWalk({ slider, button, pause, where, go }) {
  let playing = 0; // the timer of the next place
  const play = () => {
    const { at, last } = where();
    clearInterval(playing);
    if (!playing && at === last) go(0);
    playing = playing ? 0 : setInterval(advance, pause);
    button.textContent = playing ? "pause" : "play";
  };
  const advance = () => {
    go(where().at + 1);
    if (where().at === where().last) play();
  };
  slider.addEventListener("input", () => go(Number(slider.value)));
  button.addEventListener("click", play);
  return {
    ArrowLeft: () => go(where().at - 1),
    ArrowRight: () => go(where().at + 1),
    Home: () => go(0),
    End: () => go(where().last),
    " ": play,
  };
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
