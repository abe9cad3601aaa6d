// The page of attention: `state` says what the reader looks at, and `show` makes the page say so.
// attention_figures.js draws the chosen head, attention_sums.js shows how one weight came about, and
// attention_parts.js which parts of query and key its score is made of;
// attention_lens.js shows what each layer would say.

const { layers, normal, source, target, words, opens, lens } = DATA;
const ARRAYS = ["weights", "scores", "mask", "gradient", "query", "key", "v", "value", "part", "lengths", "queryParts", "keyParts"];
const canBeOff = Boolean(layers[0].without?.length); // of a large model nobody has tried
const state = { layer: 0, head: 0, row: 0, column: 0, lines: false, off: false, against: false, backward: false };
const figures = [];
let pointed = null; // the cell under the pointer

/** Unpacks the arrays, builds what never changes, and shows what the address asks for. */
async function start() {
  await unpackLayers(layers, ARRAYS);
  if (lens) await unpackLens();
  addTheme();
  buildThumbnails(byId("heads"), layers, (layer, head) => choose({ layer: layers.indexOf(layer), head }));
  layers.forEach((layer, number) => layer.thumbnails.forEach((button, head) =>
    onKey(button, ({ key }) => stepThumbnails(key, number, head))));
  byId("heads").append(element("p", { id: "opens", class: "grey" }, reasonToOpen()));
  figures.push(buildFigure("weights", "weight"));
  if (layers[0].gradient) figures.push(buildFigure("gradient", "∂loss/∂weight"));
  byId("legend").hidden = !layers[0].gradient;
  byId("matrix").onclick = () => choose({ lines: false });
  byId("lines").onclick = () => choose({ lines: true });
  byId("off").onclick = () => choose({ off: !state.off });
  byId("against").onclick = () => choose({ against: !state.against });
  byId("forward").onclick = () => choose({ backward: false });
  byId("backward").onclick = () => choose({ backward: true });
  byId("off").hidden = byId("changes").hidden = !canBeOff;
  addEventListener("hashchange", () => choose(asked()));
  addEventListener("resize", show);
  const paintHeads = () => paintThumbnails(layers, (layer, head) => ofHead(layer, "weights", head));
  onTheme(() => { paintHeads(); show(); });
  paintHeads();
  choose(asked());
}

/** What the address asks for: "#layer=decoder.layers.0.cross_attention&head=2&cell=3,1". */
function asked() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const named = layers.findIndex(({ path }) => path === fragment.get("layer"));
  const [layer, head] = named < 0 ? opens : [named, parseInt(fragment.get("head")) - 1];
  const cell = fragment.get("cell")?.split(",").map((text) => parseInt(text) - 1);
  const [row, column] = cell ?? firstCell(layers[layer], within(head, layers[layer].heads));
  return {
    layer,
    head,
    row,
    column,
    lines: fragment.has("lines"),
    off: fragment.has("off") && canBeOff,
    against: fragment.has("against"),
    backward: fragment.has("backward"),
  };
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

function show() {
  const layer = layers[state.layer];
  byId("name").textContent = fullName(layer, state.head);
  byId("origin").textContent = layer.origin ?? "";
  byId("matrix").ariaPressed = !state.lines;
  byId("lines").ariaPressed = state.lines;
  byId("off").ariaPressed = state.off;
  figures.forEach(showFigure);
  showThumbnails();
  showOutcomes();
  showFacts();
  showParts();
  showSteps();
  showLens();
  const cell = `${state.row + 1},${state.column + 1}`;
  const fragment = new URLSearchParams({ layer: layer.path, head: state.head + 1, cell });
  for (const flag of ["lines", "off", "against", "backward"]) if (state[flag]) fragment.set(flag, "");
  remember(fragment);
}

/** Why the page opens on the head on which it does. */
function reasonToOpen() {
  const [layer, head] = opens;
  const name = fullName(layers[layer], head);
  if (!canBeOff) {
    const count = layers.reduce((sum, { heads }) => sum + heads, 0);
    const untold = normal ? ` What becomes of the answer without a head is left out: to find out, this large model would have to run ${count} times more.` : "";
    return `Opens on the head whose keys depend most on the query: ${name}.${untold}`;
  }
  const { loss } = layers[layer].without[head];
  const [without, instead] = [loss, normal.loss].map(short);
  return `Opens on the head that is needed most: ${name}. Without it the loss is ${without} instead of ${instead}.`;
}

// Thumbnails: one of them can be reached by the tab key, the others from there by arrows.

/** Marks the chosen head and, while heads are off, those without which the answer is another. */
function showThumbnails() {
  markThumbnail(layers, layers[state.layer], state.head);
  layers.forEach((layer, number) =>
    layer.thumbnails.forEach((button, head) => {
      const chosen = number === state.layer && head === state.head;
      const changed = state.off && !sameTokens(layer.without[head].answer, normal.answer);
      button.tabIndex = chosen ? 0 : -1;
      button.ariaLabel = fullName(layer, head) + (changed ? "; without it the answer is another" : "");
      button.classList.toggle("changed", changed);
    }));
}

// What the model answers, with all heads and without one.

function showOutcomes() {
  if (!normal) return;
  const table = byId("outcomes");
  table.replaceChildren(
    outcome(words.source ?? "source", source.map(readable)),
    outcome(words.target ?? "target", target.map(readable)),
    outcome(words.answer ?? "answer", normal.answer.map(readable), normal.loss),
  );
  if (!state.off) return;
  const without = layers[state.layer].without[state.head];
  const length = Math.max(without.answer.length, normal.answer.length);
  const tokens = Array.from({ length }, (_, place) => {
    const [word, before] = [without.answer[place], normal.answer[place]];
    if (word === before) return readable(word);
    const was = before === undefined ? "was not there" : `was ${readable(before)}`;
    return element("mark", { title: was }, word === undefined ? "·" : readable(word), element("sup", {}, "≠"));
  });
  table.append(outcome("without this head", tokens, without.loss));
}

/** A row of the table: what it is, tokens, and the loss if there is one. */
function outcome(what, words, loss) {
  const tokens = words.map((word) => element("span", { class: "token" }, word));
  return element(
    "tr", {},
    element("th", { scope: "row" }, what),
    element("td", {}, ...(tokens.length ? tokens : [element("span", { class: "grey" }, "nothing")])),
    element("td", {}, ...(loss === undefined ? [] : ["loss ", number(loss)])),
  );
}

function sameTokens(some, others) {
  return some.length === others.length && some.every((token, place) => token === others[place]);
}

// The chosen weight: its numbers in full, and the sums that it came from.

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
