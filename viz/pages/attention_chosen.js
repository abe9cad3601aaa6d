// What the page of attention and the one that is alive share: a layer, one of its heads and a cell are
// chosen. `state` says which, each page has its own `layers`, and `show` makes it say so.

let pointed = null; // the cell under the pointer

/** Builds what never changes: all heads, and what chooses among them or how one is drawn. */
function buildChoice() {
  addTheme();
  buildThumbnails(byId("heads"), layers, (layer, head) => choose({ layer: layers.indexOf(layer), head }));
  layers.forEach((layer, number) => layer.thumbnails.forEach((button, head) =>
    onKey(button, ({ key }) => stepThumbnails(key, number, head))));
  byId("matrix").onclick = () => choose({ lines: false });
  byId("lines").onclick = () => choose({ lines: true });
  addEventListener("resize", show);
  onTheme(() => { paintHeads(); show(); });
}

function paintHeads() {
  paintThumbnails(layers, (layer, head) => ofHead(layer, "weights", head));
}

/** What the address asks for: "#layer=decoder.layers.0.cross_attention&head=2&cell=3,1". */
function placeAsked(fragment) {
  const named = layers.findIndex(({ path }) => path === fragment.get("layer"));
  const [layer, head] = named < 0 ? opens : [named, parseInt(fragment.get("head")) - 1];
  const cell = fragment.get("cell")?.split(",").map((text) => parseInt(text) - 1);
  const [row, column] = cell ?? firstCell(layers[layer], within(head, layers[layer].heads));
  return { layer, head, row, column, lines: fragment.has("lines") };
}

/** The address of what is chosen, and of the `flags` that `state` has. */
function addressOf(flags) {
  const cell = `${state.row + 1},${state.column + 1}`;
  const fragment = new URLSearchParams({ layer: layers[state.layer].path, head: state.head + 1, cell });
  for (const flag of flags) if (state[flag]) fragment.set(flag, "");
  return fragment;
}

/** Change what the reader looks at: other values in the place of those in `state`. */
function choose(change) {
  Object.assign(state, change);
  const { heads, rows, columns } = layers[state.layer];
  state.head = within(state.head, heads);
  state.row = within(state.row, rows);
  state.column = within(state.column, columns);
  pointed = null;
  show();
}

/** What is chosen, in words, and which buttons are pressed. */
function showChoice(isOff) {
  const layer = layers[state.layer];
  byId("name").textContent = fullName(layer, state.head);
  byId("origin").textContent = layer.origin ?? "";
  byId("matrix").ariaPressed = !state.lines;
  byId("lines").ariaPressed = state.lines;
  byId("off").ariaPressed = isOff;
}

// Thumbnails: one of them can be reached by the tab key, the others from there by arrows.

/** Marks the chosen head, and as of a `kind`, which is told in `words`, those of which `isSo` is true. */
function showThumbnails(kind, words, isSo) {
  markThumbnail(layers, layers[state.layer], state.head);
  layers.forEach((layer, number) => layer.thumbnails.forEach((button, head) => {
    const marked = isSo(number, head);
    button.tabIndex = number === state.layer && head === state.head ? 0 : -1;
    button.ariaLabel = fullName(layer, head) + (marked ? words : "");
    button.classList.toggle(kind, marked);
  }));
}

/** Goes to a neighbouring thumbnail by an arrow. */
function stepThumbnails(key, layer, head) {
  if (!(key in ARROWS)) return false;
  const [down, right] = ARROWS[key];
  choose({ layer: within(layer + down, layers.length), head: head + right });
  layers[state.layer].thumbnails[state.head].focus();
  return true;
}

/** The numbers in full of the cell that is pointed at, or chosen. */
function showFacts() {
  const layer = layers[state.layer];
  const { row, column } = pointed ?? state;
  const at = row * layer.columns + column;
  const of = (name) => exact(ofHead(layer, name), at);
  const { query, key, write } = sidesOf(layer);
  const written = layer.written[row];
  const facts = { [query]: spoken(layer.queries, row) };
  if (written) facts[write] = `“${readable(written)}”`;
  Object.assign(facts, { [key]: spoken(layer.keys, column), weight: of("weights") });
  if (layer.scores) facts.score = of("scores");
  if (layer.mask) facts.mask = layer.mask[at] ? "may attend" : "hidden";
  if (layer.gradient) facts["∂loss/∂weight"] = of("gradient");
  byId("facts").replaceChildren(
    ...Object.entries(facts).map(([name, text]) =>
      element("div", {}, element("dt", {}, name), element("dd", { class: "number" }, text))));
}

/** The tokens of an answer, each marked that was another before. */
function compared(answer, before) {
  return Array.from({ length: Math.max(answer.length, before.length) }, (_, place) => {
    const [token, old] = [answer[place], before[place]];
    const shown = token === undefined ? "·" : readable(token);
    if (token === old) return shown;
    const title = old === undefined ? "was not there" : `was ${readable(old)}`;
    return element("mark", { title }, shown, element("sup", {}, "≠"));
  });
}
