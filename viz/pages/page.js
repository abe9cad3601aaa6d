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

/** The tint of a value in a heat map whose largest value has size `most`: its sign by the colour,
 * its size by the strength (of its square root, so that small values can be seen). */
function tint(value, most) {
  if (!Number.isFinite(value)) return "var(--mark)";
  const strength = most > 0 ? Math.sqrt(Math.min(1, Math.abs(value) / most)) : 0;
  const colour = value < 0 ? "var(--negative)" : "var(--positive)";
  return `color-mix(in srgb, ${colour} ${Math.round(70 * strength)}%, var(--paper))`;
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

/** The values of what `packed` in page.py made, as a Float32Array in C order. */
async function unpacked({ data }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Float32Array(await new Response(stream).arrayBuffer());
}

/** A button that changes between light and dark; the reader's system chooses the first. */
function themeButton() {
  const root = document.documentElement;
  const isDark = () =>
    root.style.colorScheme ? root.style.colorScheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return element(
    "button",
    { type: "button", title: "light or dark (d)", onclick: () => { root.style.colorScheme = isDark() ? "light" : "dark"; } },
    "◐",
  );
}
