// The page that is alive: `edits` says what the reader has changed, `compute` runs the model in the page
// (live_answer.js, live_ops.js), and `show` (live_shown.js) draws what came out.

const { layers, opens, words } = DATA;
const state = { layer: 0, head: 0, row: 0, column: 0, lines: false };
// The tokens that are read, the place of the one to edit, the heads that are off ("layer:head"), and what
// is set by hand, one weight in a row: "layer:head:row" → { column, weight }.
const edits = { source: [], token: DATA.framed, off: new Set(), set: new Map() };
let model, given, now; // the model, its answer to what the page was made with, and to the present edits
let milliseconds = 0; // that the present answer took

/** Unpacks the model, builds what never changes, and shows what the address asks for. */
async function start() {
  model = loadModel(DATA.program, await unpacked(DATA.program.weights));
  buildChoice();
  for (const token of DATA.usable) byId("token").append(element("option", { value: token }, readable(DATA.tokens[token])));
  figures.push(buildFigure("weights", "weight"), buildFigure("change", "change since the start"));
  byId("off").onclick = toggleHead;
  byId("token").onchange = ({ target }) => replaceTokens(edits.token, 1, [Number(target.value)]);
  byId("token").onkeydown = (event) => event.stopPropagation(); // letters choose there, and command nothing
  byId("insert").onclick = insertToken;
  byId("remove").onclick = () => replaceTokens(edits.token, 1, []);
  byId("reset").onclick = () => edit({ source: DATA.source, off: new Set(), set: new Map() });
  byId("weight").oninput = ({ target }) => setWeight(Number(target.value));
  byId("release").onclick = () => setWeight(null);
  onKey(document, (event) => useKey(event, { o: toggleHead }));
  addEventListener("hashchange", readAddress);
  given = answerTo(DATA.source);
  readAddress();
  setTimeout(warmUp, 50, 5);
}

/** Compute so many times more while nobody waits: a browser makes fast what it has run often. */
function warmUp(times) {
  answerTo(DATA.source, interfere);
  if (times > 1) setTimeout(warmUp, 50, times - 1);
}

// What the reader does.

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
  edits.token = Math.min(edits.token, source.length - DATA.framed - 1);
  const isInPlace = count === tokens.length || place === edits.source.length;
  edit({ source, set: isInPlace ? edits.set : new Map() });
}

/** A token after the one to edit, the same if it may stand there, and before what ends a text. */
function insertToken() {
  const same = edits.source[edits.token];
  edits.token = Math.min(edits.token + 1, edits.source.length - DATA.framed);
  replaceTokens(edits.token, 0, [DATA.usable.includes(same) ? same : DATA.usable[0]]);
}

function toggleHead() {
  const head = `${state.layer}:${state.head}`;
  const off = new Set(edits.off);
  if (!off.delete(head)) off.add(head);
  edit({ off });
}

/** Set the weight of the chosen cell by hand, or let its row be as computed. */
function setWeight(weight) {
  const row = `${state.layer}:${state.head}:${state.row}`;
  const set = new Map(edits.set);
  if (weight === null) set.delete(row);
  else set.set(row, { column: state.column, weight });
  edit({ set });
}

// The model at work.

/** The answer to the present edits, and each layer's tokens and weights in it. */
function compute() {
  const started = performance.now();
  now = answerTo(edits.source, interfere, now?.read.slice(1));
  milliseconds = performance.now() - started;
  for (const layer of layers) Object.assign(layer, atWork(layer));
  paintHeads();
}

/** Do to the weights where the model attends what the reader has asked for. */
function interfere(path, { data, shape }, open) {
  const layer = layers.findIndex((each) => each.path === path);
  const [heads, rows, columns] = shape.slice(-3);
  for (const [place, { column, weight }] of edits.set) {
    const [at, head, row] = place.split(":").map(Number);
    if (at !== layer || head >= heads || row >= rows || column >= columns) continue;
    const start = (head * rows + row) * columns;
    const mask = open?.subarray(start, start + columns);
    if (!mask || mask[column]) setInRow(data.subarray(start, start + columns), column, weight, mask);
  }
  for (let head = 0; head < heads; head++) {
    if (isOff(layer, head)) data.fill(0, head * rows * columns, (head + 1) * rows * columns);
  }
}

/** Set one weight of a row; the others that it may have keep their proportions, or have equal parts where
 * they were 0, and the row its sum of one. */
function setInRow(row, column, weight, open) {
  const others = [...row.keys()].filter((place) => place !== column && (!open || open[place]));
  if (others.length === 0) return;
  const sum = others.reduce((total, place) => total + row[place], 0);
  for (const place of others) row[place] = (1 - weight) * (sum > 0 ? row[place] / sum : 1 / others.length);
  row[column] = weight;
}

function isOff(layer, head) {
  return edits.off.has(`${layer}:${head}`);
}

/** A layer's tokens and arrays in the present answer; `written` is what is answered at its queries, and
 * `change` what has become of each weight, where there is the same number of tokens as at first. */
function atWork({ step, asking, asked }) {
  const [queries, keys] = [asking, asked].map((side) => tokensOf(side, now));
  const { scores, weights, open } = now.values[step];
  const before = given.values[step].weights;
  const isSame = [asking, asked].every((side) => tokensOf(side, now).length === tokensOf(side, given).length);
  const written = queries.map(() => "");
  const isAsked = DATA.form === "pairs" ? asking === "target" : DATA.form !== "labels";
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
    mask: open?.subarray(0, queries.length * keys.length), // the same for each head
    change: isSame ? Float32Array.from(weights, (x, i) => x - before[i]) : null,
  };
}

/** The tokens that an answer's model reads on a side. */
function tokensOf(side, { source, read }) {
  return side === "target" ? read.map((token) => DATA.choices[token]) : source.map((token) => DATA.tokens[token]);
}

// The page's address tells all that the reader sees and has changed.

/** Show what it asks for: "#layer=decoder.layers.0.cross_attention&head=2&cell=3,1", and the edits,
 * "source=5,6,7&off=0:1&set=0:1:2:3:0.9", by the numbers of tokens, and of layers, heads and so on. What
 * could not be edited so is left out. */
function readAddress() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const all = (name) => fragment.getAll(name).map((text) => text.split(/[,:]/).map(Number));
  const isHead = ([layer, head]) => head in (layers[layer]?.thumbnails ?? []);
  const isPlace = (place) => Number.isInteger(place) && place >= 0;
  const isSet = ([, , row, column, weight]) => isPlace(row) && isPlace(column) && weight >= 0 && weight <= 1;
  edits.source = all("source").find(isSource) ?? DATA.source;
  edits.token = within(edits.token, edits.source.length);
  edits.off = new Set(all("off").filter(isHead).map(([layer, head]) => `${layer}:${head}`));
  edits.set = new Map(all("set").filter((each) => isHead(each) && isSet(each)).map(
    ([layer, head, row, column, weight]) => [`${layer}:${head}:${row}`, { column, weight }]));
  compute();
  choose(placeAsked(fragment));
}

/** Whether the model can read these tokens: as many as it takes, framed as at first. */
function isSource(tokens) {
  const isFrame = (place) => place < DATA.framed || place >= tokens.length - DATA.framed;
  const first = [...DATA.source.slice(0, DATA.framed), ...DATA.source.slice(DATA.source.length - DATA.framed)];
  return tokens.length > 2 * DATA.framed && tokens.length <= DATA.program.lengths.source
    && String(tokens.filter((_, place) => isFrame(place))) === String(first)
    && tokens.every((token, place) => isFrame(place) || DATA.usable.includes(token));
}

function writeAddress() {
  const fragment = addressOf(["lines"]);
  if (String(edits.source) !== String(DATA.source)) fragment.set("source", edits.source);
  for (const head of edits.off) fragment.append("off", head);
  for (const [row, { column, weight }] of edits.set) fragment.append("set", `${row}:${column}:${weight}`);
  remember(fragment);
}
