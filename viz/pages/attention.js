// The page of attention: `state` says what the reader looks at, and `show` makes the page say so.

const { layers, normal, source, target, read, likeliest, opens } = DATA;
const MOST_PRODUCTS = 4000; // of weights and values in one table: of more keys, the heaviest are shown
const LABEL = 14; // pixels that a token's name needs; where they are closer, not all have one
const state = { layer: 0, head: 0, row: 0, column: 0, lines: false, off: false };
const figures = [];
let pointed = null; // the cell under the pointer
let writing = null; // the table of the model's probabilities, which is the same whatever is chosen

/** Unpacks the arrays, builds what never changes, and shows what the address asks for. */
async function start() {
  for (const layer of layers) {
    const [heads, rows, columns] = layer.weights.shape;
    Object.assign(layer, { heads, rows, columns, width: layer.query?.shape[2] });
    for (const name of ["weights", "scores", "mask", "gradient", "query", "key", "value", "part"]) {
      if (layer[name]) layer[name] = await unpacked(layer[name]);
    }
  }
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
  byId("off").hidden = !normal;
  addEventListener("hashchange", () => choose(asked()));
  addEventListener("resize", show);
  onTheme(() => { paintThumbnails(); show(); });
  paintThumbnails();
  choose(asked());
}

/** What the address asks for: "#layer=decoder.layers.0.cross_attention&head=2&cell=3,1". */
function asked() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const named = layers.findIndex(({ path }) => path === fragment.get("layer"));
  const [layer, head] = named < 0 ? opens : [named, parseInt(fragment.get("head")) - 1];
  const cell = fragment.get("cell")?.split(",").map((text) => parseInt(text) - 1);
  const [row, column] = cell ?? [0, mostWeighted(layers[layer], within(head, layers[layer].heads))];
  return {
    layer,
    head,
    row,
    column,
    lines: fragment.has("lines"),
    off: fragment.has("off") && Boolean(normal),
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
  showSteps();
  const cell = `${state.row + 1},${state.column + 1}`;
  const fragment = new URLSearchParams({ layer: layer.path, head: state.head + 1, cell });
  for (const flag of ["lines", "off"]) if (state[flag]) fragment.set(flag, "");
  remember(fragment);
}

/** Why the page opens on the head on which it does. */
function reasonToOpen() {
  const [layer, head] = opens;
  const name = fullName(layers[layer], head);
  if (!normal) return `Opens on the head whose keys depend most on the query: ${name}.`;
  const { loss } = layers[layer].without[head];
  const [without, instead] = [loss, normal.loss].map(short);
  return `Opens on the head that is needed most: ${name}. Without it the loss is ${without} instead of ${instead}.`;
}

/** The key on which a head's first query has most weight. */
function mostWeighted(layer, head) {
  const weights = rowOf(ofHead(layer, "weights", head), 0, layer.columns);
  return weights.indexOf(Math.max(...weights));
}

/** The part of a layer's array that belongs to a head. */
function ofHead(layer, name, head = state.head) {
  const size = layer[name].length / layer.heads;
  return layer[name].subarray(head * size, (head + 1) * size);
}

/** A row of a matrix of this width. */
function rowOf(matrix, row, width) {
  return matrix.subarray(row * width, (row + 1) * width);
}

/** The digits that say which number an array has at a place: for float32, nine of them. */
function exact(values, at) {
  const x = values[at];
  const isSmall = x !== 0 && Math.abs(x) < 1e-4;
  const digits = isSmall ? x.toExponential(8) : String(Number(x.toPrecision(9)));
  return (values instanceof Float64Array ? String(x) : digits).replaceAll("-", "−");
}

/** A token as a reader is told of it: its place, counted from 1, and its text. */
function spoken(tokens, place) {
  return `${place + 1} “${readable(tokens[place])}”`;
}

// Thumbnails: one of them can be reached by the tab key, the others from there by arrows.

function paintThumbnails() {
  for (const layer of layers) {
    layer.thumbnails.forEach((button, head) =>
      paintWeights(button.firstChild, ofHead(layer, "weights", head), layer.rows, layer.columns));
  }
}

/** Marks the chosen head and, while heads are off, those without which the answer is another. */
function showThumbnails() {
  layers.forEach((layer, number) =>
    layer.thumbnails.forEach((button, head) => {
      const chosen = number === state.layer && head === state.head;
      const changed = state.off && !sameTokens(layer.without[head].answer, normal.answer);
      button.ariaPressed = chosen;
      button.tabIndex = chosen ? 0 : -1;
      button.ariaLabel = fullName(layer, head) + (changed ? "; without it the answer is another" : "");
      button.classList.toggle("changed", changed);
    }));
}

function stepThumbnails(key, layer, head) {
  if (!(key in ARROWS)) return false;
  const [down, right] = ARROWS[key];
  choose({ layer: within(layer + down, layers.length), head: head + right });
  layers[state.layer].thumbnails[state.head].focus();
  return true;
}

// Figures: the weights of the chosen head, and beside them the gradient, each as a matrix or as
// lines from the queries to the keys.

function buildFigure(name, caption) {
  const part = (tag, kind, attributes) => element(tag, { class: kind, ...attributes });
  const figure = {
    name,
    queries: part("div", "queries"),
    keys: part("div", "keys"),
    writes: part("div", "writes"),
    axes: ["query", "key", "write"].map((side) => part("span", `axis ${side}`)),
    canvas: element("canvas"),
    marks: svg("svg", { preserveAspectRatio: "none", "aria-hidden": true }),
    scale: part("div", "scale grey"),
  };
  figure.cells = part("div", "cells", {
    tabindex: 0,
    role: "application",
    "aria-label": `${caption} of each query (row) by each key (column); arrow keys choose one`,
    "aria-describedby": "facts",
    onclick: (event) => choose(cellAt(event)),
    onpointermove: (event) => point(cellAt(event)),
    onpointerleave: () => point(null),
  });
  onKey(figure.cells, stepCells);
  figure.cells.append(figure.canvas, figure.marks);
  figure.frame = part("div", "frame");
  figure.frame.append(...figure.axes, figure.queries, figure.cells, figure.keys, figure.writes);
  const head = element("figcaption", {}, element("b", {}, caption), figure.scale);
  byId("figures").append(element("figure", { id: name }, head, figure.frame));
  return figure;
}

function showFigure({ name, queries, keys, writes, axes, canvas, marks, scale, cells, frame }) {
  const layer = layers[state.layer];
  const values = ofHead(layer, name);
  const signed = name === "gradient";
  const most = signed ? largest(values) : 1;
  frame.classList.toggle("lines", state.lines);
  frame.style.setProperty("--longest", Math.max(...[...layer.queries, ...writtenIn(layer)].map(widthOf)));
  cells.style.aspectRatio = state.lines ? 1 : Math.max(0.5, Math.min(3, layer.columns / layer.rows));
  for (const axis of axes) axis.textContent = sidesOf(layer)[axis.classList[1]];
  nameTokens(queries, layer.queries, "row", cells.clientHeight);
  nameTokens(writes, writtenIn(layer), "row", cells.clientHeight);
  nameTokens(keys, layer.keys, "column", state.lines ? cells.clientHeight : cells.clientWidth);
  if (state.lines) drawLines(canvas, values, signed, most);
  else if (signed) paintSigned(canvas, values, layer.rows, layer.columns, most);
  else paintWeights(canvas, values, layer.rows, layer.columns);
  markCells(marks, layer);
  showScale(scale, signed, most, layer.mask);
}

/** What the decoder has to write after each token that it reads; nothing where it does not ask. */
function writtenIn({ asking }) {
  return asking === "target" && target ? target : [];
}

/** The tokens along a side of this length, thinned out where they are close, but for the chosen. */
function nameTokens(side, tokens, axis, length) {
  const step = Math.ceil((tokens.length * LABEL) / length);
  const longest = Math.max(0, ...tokens.map(widthOf));
  side.style.setProperty("--tokens", tokens.length);
  side.classList.toggle("long", longest * LABEL > (2 * length) / tokens.length);
  side.replaceChildren(...tokens.flatMap((token, place) => {
    const chosen = place === state[axis];
    if (!chosen && (place % step || Math.abs(place - state[axis]) < step)) return [];
    return element("span", {
      class: chosen ? "chosen" : null,
      title: spoken(tokens, place),
      style: `--place: ${place + 1}`,
      onclick: () => choose({ [axis]: place }),
    }, readable(token));
  }));
}

/** A line from each query at the left to each key at the right, as strong as the number. Those of
 * the chosen query stand out; negative ones are dashed. */
function drawLines(canvas, values, signed, most) {
  const { rows, columns } = layers[state.layer];
  const size = (canvas.width = canvas.height = 900);
  const pen = canvas.getContext("2d");
  const colours = ["--accent", "--positive", "--negative", "--ink"].map(colourOf);
  const order = Array.from({ length: rows }, (_, i) => i).filter((i) => i !== state.row);
  for (const i of [...order, state.row]) {
    for (let j = 0; j < columns; j++) {
      const value = values[i * columns + j];
      const strength = most > 0 ? Math.sqrt(Math.abs(value) / most) : 0;
      pen.globalAlpha = strength * (i === state.row ? 1 : Math.min(0.25, 3 / rows));
      pen.strokeStyle = colours[signed ? (value < 0 ? 2 : 1) : 0];
      pen.lineWidth = 1 + strength * Math.min(10, size / rows);
      pen.setLineDash(value < 0 ? [16, 10] : []);
      drawLine(pen, ((i + 0.5) / rows) * size, ((j + 0.5) / columns) * size, size);
    }
  }
  pen.globalAlpha = 1;
  pen.strokeStyle = colours[3];
  pen.lineWidth = 2;
  pen.setLineDash([4, 8]);
  drawLine(pen, ((state.row + 0.5) / rows) * size, ((state.column + 0.5) / columns) * size, size);
}

function drawLine(pen, from, to, size) {
  pen.beginPath();
  pen.moveTo(0, from);
  pen.bezierCurveTo(size / 2, from, size / 2, to, size, to);
  pen.stroke();
}

/** Strikes through the cells that the mask hides, and frames the chosen one. */
function markCells(marks, { rows, columns, mask }) {
  marks.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
  marks.replaceChildren();
  if (state.lines) return;
  let hidden = "";
  mask?.forEach((open, place) => {
    if (!open) hidden += `M${place % columns} ${Math.floor(place / columns) + 1}l1 -1`;
  });
  marks.append(
    svg("path", { class: "hidden", d: hidden }),
    svg("rect", { class: "under", x: state.column, y: state.row, width: 1, height: 1 }),
    svg("rect", { class: "over", x: state.column, y: state.row, width: 1, height: 1 }),
  );
}

/** The colours from end to end: half way stands a quarter, as they follow the square root. */
function showScale(scale, signed, most, mask) {
  if (state.lines) {
    scale.textContent = signed ? "blue: above 0; vermilion, dashed: below" : "the stronger, the larger";
    return;
  }
  const ends = signed ? [-most, 0, most] : [0, 0.25, 1];
  const canvas = element("canvas", { "aria-hidden": true });
  const steps = Array.from({ length: 101 }, (_, i) => (signed ? (i - 50) / 50 : i / 100));
  if (signed) paintSigned(canvas, steps.map((x) => x * Math.abs(x)), 1, 101, 1);
  else paintWeights(canvas, steps.map((x) => x * x), 1, 101);
  scale.replaceChildren(element("div", {}, canvas, ...ends.map((x) => element("span", {}, short(x)))));
  if (mask?.includes(0)) scale.append(element("span", {}, "╱ hidden by the mask"));
}

/** The cell under the pointer; of lines, the token that it is nearest to. */
function cellAt(event) {
  const { rows, columns } = layers[state.layer];
  const box = event.currentTarget.getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  const { row, column } = state;
  const at = (share, count) => within(Math.floor(share * count), count);
  if (!state.lines) return { row: at(y, rows), column: at(x, columns) };
  return x < 0.5 ? { row: at(y, rows), column } : { row, column: at(y, columns) };
}

/** Tells of another cell than the chosen one while the pointer is there. */
function point(cell) {
  pointed = cell;
  showFacts();
}

function stepCells({ key }) {
  const ends = {
    Home: { column: 0 },
    End: { column: Infinity },
    PageUp: { row: 0 },
    PageDown: { row: Infinity },
  };
  const [down, right] = ARROWS[key] ?? [];
  if (key in ends) choose(ends[key]);
  else if (key in ARROWS) choose({ row: state.row + down, column: state.column + right });
  else return false;
  return true;
}

// What the model answers, with all heads and without one.

function showOutcomes() {
  if (!normal) return;
  const table = byId("outcomes");
  table.replaceChildren(
    outcome("source", source.map(readable)),
    outcome("target", target.map(readable)),
    outcome("answer", normal.answer.map(readable), normal.loss),
  );
  if (!state.off) return;
  const without = layers[state.layer].without[state.head];
  const length = Math.max(without.answer.length, normal.answer.length);
  const words = Array.from({ length }, (_, place) => {
    const [word, before] = [without.answer[place], normal.answer[place]];
    if (word === before) return readable(word);
    const was = before === undefined ? "was not there" : `was ${readable(before)}`;
    return element("mark", { title: was }, word === undefined ? "·" : readable(word), element("sup", {}, "≠"));
  });
  table.append(outcome("without this head", words, without.loss));
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

/** A number in four digits, which tells all of them where it is pointed at. */
function number(x) {
  return element("span", { class: "number", title: String(x) }, short(x));
}

// The chosen weight: its numbers in full, and the sums that it came from.

function showFacts() {
  const layer = layers[state.layer];
  const { row, column } = pointed ?? state;
  const at = row * layer.columns + column;
  const of = (name) => exact(ofHead(layer, name), at);
  const { query, key, write } = sidesOf(layer);
  const written = writtenIn(layer)[row];
  const facts = { [query]: spoken(layer.queries, row) };
  if (written !== undefined) facts[write] = `“${readable(written)}”`;
  Object.assign(facts, { [key]: spoken(layer.keys, column), weight: of("weights") });
  if (layer.scores) facts.score = of("scores");
  if (layer.mask) facts.mask = layer.mask[at] ? "may attend" : "hidden";
  if (layer.gradient) facts["∂loss/∂weight"] = of("gradient");
  byId("facts").replaceChildren(
    ...Object.entries(facts).map(([name, text]) =>
      element("div", {}, element("dt", {}, name), element("dd", { class: "number" }, text))));
}

function showSteps() {
  const layer = layers[state.layer];
  const told = layer.scores
    ? [scoreSteps(layer), softmaxSteps(layer), resultSteps(layer), partOfOutput(layer), writingSteps(layer)]
    : [softmaxSteps(layer)];
  byId("steps").replaceChildren(...told);
  for (const row of document.querySelectorAll("#steps .chosen")) {
    const region = row.closest(".scroll");
    region.scrollTop = row.offsetTop - region.clientHeight / 2;
  }
}

/** How the score came from query and key. */
function scoreSteps(layer) {
  const { width } = layer;
  const score = rowOf(ofHead(layer, "scores"), state.row, layer.columns)[state.column];
  const query = rowOf(ofHead(layer, "query"), state.row, width);
  const key = rowOf(ofHead(layer, "key"), state.column, width);
  const products = Array.from(query, (x, i) => x * key[i]);
  const sum = total(products);
  const mosts = [query, key, products].map(largest);
  const lines = products.map((product, i) =>
    [i + 1, ...[query[i], key[i], product].map((x, k) => tinted(x, mosts[k]))]);
  return steps(
    "Score: how well query and key agree",
    [["", "query", "key", "query × key"]],
    lines,
    ["sum", "", "", number(sum)],
    [number(sum), ` / √${width} = `, number(score), ", the score"],
  );
}

/** How the weights of the query's row came from its scores. */
function softmaxSteps(layer) {
  const weights = rowOf(ofHead(layer, "weights"), state.row, layer.columns);
  const sum = total(weights);
  const named = (place) => spoken(layer.keys, place);
  const weight = (place) => tinted(weights[place], 1);
  const chosen = (place) => (place === state.column ? "chosen" : null);
  const title = "Softmax: the query's weights on all keys";
  if (!layer.scores) {
    const lines = Array.from(weights, (_, place) => [named(place), weight(place)]);
    return steps(title, [["key", "weight"]], lines, ["sum", number(sum)], [], chosen);
  }
  const scores = rowOf(ofHead(layer, "scores"), state.row, layer.columns);
  const mask = rowOf(layer.mask, state.row, layer.columns);
  const top = Math.max(...scores.filter((_, place) => mask[place]));
  // The same whatever is taken out, and no power overflows, nor do all vanish.
  const out = Number.isFinite(top) && Math.abs(top) > 60 ? top : 0;
  const exponent = out ? `(score ${out > 0 ? "−" : "+"} ${short(Math.abs(out))})` : "score";
  const powers = Array.from(scores, (score, place) => (mask[place] ? Math.exp(score - out) : 0));
  const all = total(powers);
  const lines = powers.map((power, place) =>
    [named(place), number(scores[place]), mask[place] ? "✓" : "hidden", number(power), weight(place)]);
  const [power, told] = [powers, weights].map((row) => row[state.column]);
  return steps(
    title,
    [["key", "score", "mask", `e^${exponent}`, "weight"]],
    lines,
    ["sum", "", "", number(all), number(sum)],
    all ? [number(power), " / ", number(all), " = ", number(told), ", the weight"] : [],
    chosen,
  );
}

/** How the head's result came from the values: their sum, each times its weight. Of very many keys,
 * those with little weight are one line. */
function resultSteps(layer) {
  const { width, columns } = layer;
  const weights = rowOf(ofHead(layer, "weights"), state.row, columns);
  const values = ofHead(layer, "value");
  const sumOf = (places) => Array.from({ length: width }, (_, i) =>
    places.reduce((sum, place) => sum + weights[place] * values[place * width + i], 0));
  const places = Array.from(weights, (_, place) => place);
  const count = Math.max(8, Math.floor(MOST_PRODUCTS / width));
  const heaviest = [...places].sort((a, b) => weights[b] - weights[a]).slice(0, count);
  const shown = places.filter((place) => place === state.column || heaviest.includes(place));
  const others = places.filter((place) => !shown.includes(place));
  const products = shown.map((place) => sumOf([place]));
  const most = largest(products.flat());
  const value = rowOf(values, state.column, width);
  const lines = products.map((line, i) =>
    [spoken(layer.keys, shown[i]), number(weights[shown[i]]), ...line.map((x) => tinted(x, most))]);
  if (others.length) {
    const weight = others.reduce((sum, place) => sum + weights[place], 0);
    lines.push([`the ${others.length} other keys`, number(weight), ...sumOf(others).map(number)]);
  }
  return steps(
    "Result: the sum of all values, each times its weight",
    [
      ["key", "weight", ...Array.from(value, (_, i) => i + 1)],
      [`value of ${spoken(layer.keys, state.column)}`, "", ...Array.from(value, number)],
    ],
    lines,
    ["sum: the head's result", number(total(weights)), ...sumOf(places).map(number)],
    [],
    (line) => (shown[line] === state.column ? "chosen" : null),
  );
}

/** What the head adds to the output of its layer. */
function partOfOutput(layer) {
  const size = layer.part.length / layer.heads / layer.rows;
  const partOf = (_, head) => rowOf(ofHead(layer, "part", head), state.row, size);
  const parts = Array.from({ length: layer.heads }, partOf);
  const part = parts[state.head];
  const most = largest(part);
  const lengthOf = (vector) => Math.sqrt(total(Array.from(vector, (x) => x * x)));
  const lengths = parts.flatMap((one, head) => [head ? " · " : "", number(lengthOf(one))]);
  return element(
    "section", {},
    element("h2", {}, `Output: the result times W_O, ${layer.width} → ${size} numbers`),
    element("div", { class: "numbers" }, ...Array.from(part, (x) => tinted(x, most))),
    element("p", {}, "The parts of all heads and a bias are the layer's output. Their lengths: ", ...lengths),
  );
}

/** The model's probabilities at each step: of the right token, and the largest. */
function writingSteps(layer) {
  writing ??= buildWriting();
  writing.querySelectorAll("tbody tr").forEach((row, place) =>
    row.classList.toggle("chosen", layer.asking === "target" && place === state.row));
  return writing;
}

function buildWriting() {
  const count = Math.max(...likeliest.map(({ top }) => top.length));
  const choice = (token, probability, right) => element(
    "span", { class: token === right ? "right" : null },
    readable(token), " ", tinted(probability, 1));
  return steps(
    "Output of the model: softmax over the vocabulary at each step",
    [["reads", "to write", "its probability", "likeliest", ...Array(count - 1).fill("")]],
    likeliest.map(({ right, top }, place) => [
      spoken(read, place), readable(target[place]), tinted(right, 1),
      ...top.map(([token, probability]) => choice(token, probability, target[place])),
    ]),
    [],
    [],
  );
}

function total(values) {
  return values.reduce((a, b) => a + b, 0);
}

/** A table whose columns can be added up by hand, and what is made of the sums. */
function steps(title, heads, lines, sums, conclusion, kind = () => null) {
  const cells = (tag, list) => list.map((content) => element(tag, {}, content));
  return element(
    "section", {},
    element("h2", {}, title),
    element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, element(
      "table", {},
      element("thead", {}, ...heads.map((head) => element("tr", {}, ...cells("th", head)))),
      element("tbody", {}, ...lines.map((line, place) => element("tr", { class: kind(place) }, ...cells("td", line)))),
      element("tfoot", {}, element("tr", {}, ...cells("td", sums))),
    )),
    element("p", {}, ...conclusion),
  );
}

/** A number on the tint of its size. */
function tinted(x, most) {
  const cell = number(x);
  cell.style.background = tint(x, most);
  return cell;
}
