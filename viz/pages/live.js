// The page that is alive: `edits` says what the reader has changed, `compute` runs the model, in
// live_answer.js, and `show` draws what came out. attention_figures.js draws the chosen head.

const { layers, words } = DATA;
const state = { layer: 0, head: 0, row: 0, column: 0, lines: false };
// The tokens to read, the one being edited, heads that are off ("layer:head"), and weights set by hand,
// one of a row: "layer:head:row" → { column, weight }.
const edits = { source: [], token: 0, off: new Set(), set: new Map() };
const figures = [];
let model, given, now; // the model, its answer to what the page was made with, and to the present edits
let milliseconds = 0; // that the present answer took
let pointed = null; // the cell under the pointer

/** Unpacks the model, builds what never changes, and shows what the address asks for. */
async function start() {
  model = loadModel(DATA.program, await unpacked(DATA.program.weights));
  addTheme();
  buildThumbnails(byId("heads"), layers, (layer, head) => choose({ layer: layers.indexOf(layer), head }));
  layers.forEach((layer, number) => layer.thumbnails.forEach((button, head) =>
    onKey(button, ({ key }) => stepThumbnails(key, number, head))));
  byId("token").append(...DATA.usable.map((token) => element("option", { value: token }, readable(DATA.tokens[token]))));
  figures.push(buildFigure("weights", "weight"), buildFigure("change", "change since the start"));
  byId("matrix").onclick = () => choose({ lines: false });
  byId("lines").onclick = () => choose({ lines: true });
  byId("off").onclick = toggleHead;
  byId("token").oninput = ({ target }) => replaceTokens(edits.token, 1, [Number(target.value)]);
  byId("insert").onclick = insertToken;
  byId("remove").onclick = () => replaceTokens(edits.token, 1, []);
  byId("reset").onclick = () => edit({ source: DATA.source, off: new Set(), set: new Map() });
  byId("weight").oninput = ({ target }) => setWeight(Number(target.value));
  byId("release").onclick = () => setWeight(null);
  onKey(document, (event) => useKey(event, { o: toggleHead }));
  addEventListener("hashchange", open);
  addEventListener("resize", show);
  onTheme(() => { paintHeads(); show(); });
  given = answerTo(DATA.source);
  open();
}

// What the reader does.

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

/** Change what the model reads, or how it computes, and compute. */
function edit(change) {
  Object.assign(edits, change);
  edits.token = within(edits.token, edits.source.length);
  compute();
  choose({});
}

/** Other tokens in the place of so many. Weights set by hand are forgotten where places move. */
function replaceTokens(place, count, tokens) {
  const source = [...edits.source];
  source.splice(place, count, ...tokens);
  edit({ source, set: count === tokens.length ? edits.set : new Map() });
}

/** A token after the chosen one, the same if it may stand there, and before what ends a text. */
function insertToken() {
  const same = edits.source[edits.token];
  const place = Math.min(edits.token + 1, edits.source.length - DATA.framed);
  edits.token = place;
  replaceTokens(place, 0, [DATA.usable.includes(same) ? same : DATA.usable[0]]);
}

function toggleHead() {
  const head = `${state.layer}:${state.head}`;
  const off = new Set(edits.off);
  if (!off.delete(head)) off.add(head);
  edit({ off });
}

/** Set the weight of the chosen cell by hand, or let the row be as computed. */
function setWeight(weight) {
  const row = `${state.layer}:${state.head}:${state.row}`;
  const set = new Map(edits.set);
  if (weight === null) set.delete(row);
  else set.set(row, { column: state.column, weight });
  edit({ set });
}

// The model at work.

/** The answer to the present edits, and its weights in each layer. */
function compute() {
  const started = performance.now();
  now = answerTo(edits.source, interfere, now?.read.slice(1));
  milliseconds = performance.now() - started;
  for (const layer of layers) Object.assign(layer, atWork(layer));
  paintHeads();
}

/** Do to the weights where the model attends what the reader has asked for. */
function interfere(path, weights) {
  const layer = layers.findIndex((each) => each.path === path);
  const [heads, rows, columns] = weights.shape.slice(-3);
  for (const [place, { column, weight }] of edits.set) {
    const [at, head, row] = place.split(":").map(Number);
    if (at === layer && row < rows && column < columns) {
      setInRow(rowOf(weights.data, head * rows + row, columns), column, weight);
    }
  }
  for (let head = 0; head < heads; head++) {
    if (edits.off.has(`${layer}:${head}`)) weights.data.fill(0, head * rows * columns, (head + 1) * rows * columns);
  }
}

/** Set one weight of a row; the others keep their proportions, and the row its sum of one. */
function setInRow(row, column, weight) {
  const others = row.reduce((sum, x, place) => (place === column ? sum : sum + x), 0);
  if (others === 0) return; // it may attend to nothing else
  const scale = (1 - weight) / others;
  row.forEach((x, place) => (row[place] = place === column ? weight : x * scale));
}

/** A layer's tokens and arrays in the present answer; `written` is what is answered at its queries. */
function atWork(layer) {
  const tokensOf = (side) => (side === "target" ? now.read.map((token) => DATA.choices[token]) : now.source.map((token) => DATA.tokens[token]));
  const [queries, keys] = [tokensOf(layer.asking), tokensOf(layer.asked)];
  const { scores, weights, open } = now.values[layer.step];
  const before = given.values[layer.step].weights;
  const hasBefore = [layer.asking, layer.asked].every((side) => lengthOf(side, given) === lengthOf(side, now));
  const written = queries.map(() => "");
  const isAsked = DATA.form === "pairs" ? layer.asking === "target" : DATA.form !== "labels";
  if (isAsked) for (const { place, best } of now.asked) written[place] = DATA.choices[best];
  return {
    rows: queries.length,
    columns: keys.length,
    queries,
    keys,
    written: written.some(Boolean) ? written : [],
    write: words.asked,
    scores: Float32Array.from(scores),
    weights: Float32Array.from(weights),
    mask: open?.subarray(0, queries.length * keys.length),
    change: hasBefore ? Float32Array.from(weights, (x, i) => x - before[i]) : null,
  };
}

function lengthOf(side, { source, read }) {
  return (side === "target" ? read : source).length;
}

// What is shown.

function show() {
  const layer = layers[state.layer];
  byId("name").textContent = fullName(layer, state.head);
  byId("origin").textContent = layer.origin ?? "";
  byId("matrix").ariaPressed = !state.lines;
  byId("lines").ariaPressed = state.lines;
  byId("off").ariaPressed = isOff(state.layer, state.head);
  byId("change").hidden = !layer.change?.some((x) => x !== 0);
  for (const figure of figures) if (!byId(figure.name).hidden) showFigure(figure);
  showThumbnails();
  showOutcomes();
  showEdits();
  showFacts();
  showHand();
  byId("steps").replaceChildren(...choicesAsked());
  remember(address());
}

function paintHeads() {
  paintThumbnails(layers, (layer, head) => ofHead(layer, "weights", head));
}

function isOff(layer, head) {
  return edits.off.has(`${layer}:${head}`);
}

function showThumbnails() {
  markThumbnail(layers, layers[state.layer], state.head);
  layers.forEach((layer, number) => layer.thumbnails.forEach((button, head) => {
    button.tabIndex = number === state.layer && head === state.head ? 0 : -1;
    button.ariaLabel = fullName(layer, head) + (isOff(number, head) ? ", off" : "");
    button.classList.toggle("off", isOff(number, head));
  }));
}

/** What is read, and what is answered; once something is changed, what both were at first. */
function showOutcomes() {
  const focused = document.activeElement?.matches(".source button");
  const before = spelled(given);
  const answer = spelled(now);
  const tokens = Array.from({ length: Math.max(answer.length, before.length) }, (_, place) => {
    const [token, was] = [answer[place], before[place]];
    if (token === was) return shownToken(token);
    const title = was === undefined ? "was not there" : `was ${readable(was)}`;
    const shown = token === undefined ? "·" : readable(token);
    return element("span", { class: "token" }, element("mark", { title }, shown, element("sup", {}, "≠")));
  });
  byId("outcomes").replaceChildren(
    outcome(words.source ?? "source", edits.source.map(tokenButton), "source"),
    outcome(words.answer ?? "answer", tokens, "answer"),
    ...(isEdited() ? [outcome("at first", [...DATA.source.map((token) => shownToken(DATA.tokens[token])), " → ", ...before.map(shownToken)], "first grey")] : []),
  );
  if (focused) document.querySelector(".source [aria-pressed=true]").focus();
}

function outcome(what, cells, kind) {
  const shown = cells.length ? cells : [element("span", { class: "grey" }, "nothing")];
  return element("tr", { class: kind }, element("th", { scope: "row" }, what), element("td", {}, ...shown));
}

function shownToken(token) {
  return element("span", { class: "token" }, readable(token));
}

/** A token of the source: a click, or Enter, goes to what chooses another. */
function tokenButton(token, place) {
  const button = element("button", {
    type: "button",
    class: "token",
    "aria-pressed": String(place === edits.token),
    "aria-label": `token ${spoken(edits.source.map((each) => DATA.tokens[each]), place)}: choose another`,
    tabindex: place === edits.token ? 0 : -1,
    onclick: () => { chooseToken(place); byId("token").focus(); },
  }, readable(DATA.tokens[token]));
  onKey(button, ({ key }) => {
    const [, right] = ARROWS[key] ?? [];
    if (right) chooseToken(place + right);
    return Boolean(right);
  });
  return button;
}

function chooseToken(place) {
  edits.token = within(place, edits.source.length);
  show();
}

/** The tokens of an answer; its end is not one. */
function spelled({ asked }) {
  return asked.filter(({ best }) => DATA.form !== "pairs" || best !== DATA.eos).map(({ best }) => DATA.choices[best]);
}

function isEdited() {
  return edits.off.size + edits.set.size > 0 || String(edits.source) !== String(DATA.source);
}

/** What edits the chosen token, how long the answer took, and what else is not as the model has it. */
function showEdits() {
  const { length } = edits.source;
  const isFixed = edits.token < DATA.framed || edits.token >= length - DATA.framed;
  byId("place").textContent = `token ${edits.token + 1}`;
  byId("token").value = edits.source[edits.token];
  byId("token").disabled = isFixed;
  byId("remove").disabled = isFixed || length === 1 + 2 * DATA.framed;
  byId("insert").disabled = length >= DATA.program.lengths.source;
  byId("reset").disabled = !isEdited();
  const passes = DATA.form === "pairs" ? `, the decoder ${now.passes === 1 ? "once" : `${now.passes} times`}` : "";
  byId("took").textContent = `live: computed here in ${milliseconds.toFixed(1)} ms${passes}`;
  const undo = (text, act) => element("button", { type: "button", title: "undo", onclick: act }, `${text} ×`);
  const nameOf = (layer, head) => fullName(layers[layer], Number(head));
  byId("changes").replaceChildren(
    ...[...edits.off].map((place) => {
      const [layer, head] = place.split(":");
      return undo(`${nameOf(layer, head)}: off`, () => edit({ off: new Set([...edits.off].filter((x) => x !== place)) }));
    }),
    ...[...edits.set].map(([place, { column, weight }]) => {
      const [layer, head, row] = place.split(":");
      const { queries, keys } = layers[layer];
      if (row >= queries.length || column >= keys.length) return null;
      const cell = `${spoken(queries, Number(row))} on ${spoken(keys, column)}`;
      return undo(`${nameOf(layer, head)}: ${cell} = ${short(weight)}`, () => edit({ set: new Map([...edits.set].filter(([x]) => x !== place)) }));
    }).filter(Boolean),
  );
}

function showFacts() {
  const layer = layers[state.layer];
  const { row, column } = pointed ?? state;
  const at = row * layer.columns + column;
  const { query, key, write } = sidesOf(layer);
  const facts = { [query]: spoken(layer.queries, row) };
  if (layer.written[row]) facts[write] = `“${readable(layer.written[row])}”`;
  Object.assign(facts, { [key]: spoken(layer.keys, column), weight: exact(ofHead(layer, "weights"), at) });
  facts.score = exact(ofHead(layer, "scores"), at);
  if (layer.mask) facts.mask = layer.mask[at] ? "may attend" : "hidden";
  byId("facts").replaceChildren(
    ...Object.entries(facts).map(([name, text]) =>
      element("div", {}, element("dt", {}, name), element("dd", { class: "number" }, text))));
}

/** What sets the chosen weight by hand. */
function showHand() {
  const layer = layers[state.layer];
  const weight = rowOf(ofHead(layer, "weights"), state.row, layer.columns)[state.column];
  const set = edits.set.get(`${state.layer}:${state.head}:${state.row}`);
  const obstacle = whyNot(layer);
  byId("weight").value = weight;
  byId("weight").disabled = Boolean(obstacle);
  byId("set").textContent = short(weight);
  byId("release").disabled = !set;
  byId("how").textContent = obstacle || (set ? "the other weights of the row keep their proportions: it sums to one" : "");
}

/** Why the chosen weight cannot be another, if so. */
function whyNot({ mask, columns }) {
  const open = mask ? [...rowOf(mask, state.row, columns)] : Array(columns).fill(1);
  if (isOff(state.layer, state.head)) return "this head is off";
  if (!open[state.column]) return "the mask hides this key";
  return open.filter(Boolean).length === 1 ? "this query may attend to nothing else" : "";
}

/** At each place where the model is asked, what it finds likely; what comes next can be written. */
function choicesAsked() {
  if (!now.asked.length) return [element("p", { class: "grey" }, `Put ${DATA.tokens[DATA.gap]} in the place of a token to ask for it.`)];
  const layer = layers[state.layer];
  const isRow = (place) => place === state.row && layer.written.length > 0;
  const choice = ([token, probability]) => {
    const text = [readable(DATA.choices[token]), " ", number(probability)];
    const write = () => replaceTokens(edits.source.length, 0, [token]);
    const isFull = edits.source.length >= DATA.program.lengths.source;
    const cell = DATA.form === "text"
      ? element("button", { type: "button", title: "write it", disabled: isFull, onclick: write }, ...text)
      : element("span", {}, ...text);
    cell.lastChild.style.background = tint(probability, 1);
    return element("td", {}, cell);
  };
  const lines = now.asked.map(({ place, probabilities }) => element(
    "tr", { class: isRow(place) ? "chosen" : null },
    element("td", {}, DATA.form === "labels" ? "" : `${place + 1} “${readable((DATA.form === "pairs" ? DATA.choices : DATA.tokens)[now.read[place]])}”`),
    ...likeliest(probabilities).map(choice)));
  const title = `Output of the model: softmax over ${words.over}`;
  const heads = ["reads", words.asked, "", "", "", ""].map((text) => element("th", {}, text));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...lines));
  return [element(
    "section", {},
    element("h2", {}, title),
    element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table),
  )];
}

/** The five largest probabilities with their numbers, the largest first. */
function likeliest(probabilities) {
  const found = [];
  probabilities.forEach((p, choice) => {
    if (found.length < 5 || p > found[4][1]) {
      found.push([choice, p]);
      found.sort((a, b) => b[1] - a[1]).splice(5);
    }
  });
  return found;
}

// The page's address tells all that the reader sees and has changed.

/** Show what the address asks for: "#layer=decoder.layers.0.cross_attention&head=2&cell=3,1" and the
 * edits, "source=5,6,7&off=0:1&set=0:1:2:3:0.9" in the numbers of tokens, layers, heads and cells. */
function open() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const numbers = (text) => text.split(/[,:]/).map(Number);
  const source = fragment.has("source") ? numbers(fragment.get("source")).filter((token) => token in DATA.tokens) : [];
  const set = fragment.getAll("set").map(numbers).map(([layer, head, row, column, weight]) => [`${layer}:${head}:${row}`, { column, weight }]);
  edit({ source: source.length ? source : [...DATA.source], off: new Set(fragment.getAll("off")), set: new Map(set) });
  const layer = layers.findIndex(({ path }) => path === fragment.get("layer"));
  const head = parseInt(fragment.get("head")) - 1;
  const [row, column] = (fragment.get("cell") ?? "1,1").split(",").map((text) => parseInt(text) - 1);
  choose(layer < 0 ? mostChoosing() : { layer, head, row, column, lines: fragment.has("lines") });
}

function address() {
  const cell = `${state.row + 1},${state.column + 1}`;
  const fragment = new URLSearchParams({ layer: layers[state.layer].path, head: state.head + 1, cell });
  if (state.lines) fragment.set("lines", "");
  if (String(edits.source) !== String(DATA.source)) fragment.set("source", edits.source);
  for (const head of edits.off) fragment.append("off", head);
  for (const [row, { column, weight }] of edits.set) fragment.append("set", `${row}:${column}:${weight}`);
  return fragment;
}

/** The head whose keys depend most on the query, where the page opens: see `most_choosing` in attention.py. */
function mostChoosing() {
  let [best, most] = [{}, -Infinity];
  layers.forEach((layer, number) => {
    for (let head = 0; head < layer.heads; head++) {
      const weights = ofHead(layer, "weights", head);
      const entropy = (row) => row.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
      const rows = Array.from({ length: layer.rows }, (_, row) => rowOf(weights, row, layer.columns));
      const mean = Array.from({ length: layer.columns }, (_, column) => rows.reduce((sum, row) => sum + row[column], 0) / rows.length);
      const information = entropy(mean) - rows.reduce((sum, row) => sum + entropy(row), 0) / rows.length;
      if (information > most) [best, most] = [{ layer: number, head }, information];
    }
  });
  return best;
}

