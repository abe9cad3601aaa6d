// The weights of the chosen head, and beside them the gradient, each as a matrix or as
// lines from the queries to the keys.

const LABEL = 14; // pixels that a token's name needs; where they are closer, not all have one

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
  const signed = name !== "weights";
  const most = signed ? largest(values) : 1;
  frame.classList.toggle("lines", state.lines);
  frame.style.setProperty("--longest", Math.max(...[...layer.queries, ...layer.written].map(widthOf)));
  cells.style.aspectRatio = state.lines ? 1 : Math.max(0.5, Math.min(3, layer.columns / layer.rows));
  for (const axis of axes) axis.textContent = sidesOf(layer)[axis.classList[1]];
  nameTokens(queries, layer.queries, "row", cells.clientHeight);
  nameTokens(writes, layer.written, "row", cells.clientHeight);
  nameTokens(keys, layer.keys, "column", state.lines ? cells.clientHeight : cells.clientWidth);
  if (state.lines) drawLines(canvas, values, signed, most);
  else if (signed) paintSigned(canvas, values, layer.rows, layer.columns, most);
  else paintWeights(canvas, values, layer.rows, layer.columns);
  markCells(marks, layer);
  showScale(scale, signed, most, layer.mask);
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
  const { rows, columns, mask } = layers[state.layer];
  const size = (canvas.width = canvas.height = 900);
  const pen = canvas.getContext("2d");
  const colours = ["--accent", "--positive", "--negative", "--ink"].map(colourOf);
  const order = Array.from({ length: rows }, (_, i) => i).filter((i) => i !== state.row);
  for (const i of [...order, state.row]) {
    for (let j = 0; j < columns; j++) {
      if (mask && !mask[i * columns + j]) continue; // the weight there is 0, whatever its gradient
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
  if (!state.lines) return cellUnder(event, { rows, columns });
  const { row, column } = state;
  const [query, key] = [rows, columns].map((count) => cellUnder(event, { rows: count, columns: 2 }));
  return query.column === 0 ? { row: query.row, column } : { row, column: key.row };
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

/** The first query, or of a text the last, which sees most, and the key on which it has most weight. */
function firstCell(layer, head) {
  const row = layer.asking === "text" ? layer.rows - 1 : 0;
  const weights = rowOf(ofHead(layer, "weights", head), row, layer.columns);
  return [row, weights.indexOf(Math.max(...weights))];
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

/** A token as a reader is told of it: its place, counted from 1, and its text. */
function spoken(tokens, place) {
  return `${place + 1} “${readable(tokens[place])}”`;
}

/** A number in four digits, which tells all of them where it is pointed at. */
function number(x) {
  return element("span", { class: "number", title: String(x) }, short(x));
}
