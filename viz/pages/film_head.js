// The chosen head of a film: its map, and the line of cells that it comes to follow.

/** The thumbnails of all heads, and as the chosen one that which follows its line the most. */
function buildHeads() {
  buildThumbnails(byId("heads"), layers, chooseHead);
  for (const button of document.querySelectorAll(".thumbnail")) {
    button.onmousedown = (event) => event.preventDefault(); // it would take the space bar from `play`
  }
  const ends = chosen.layer.lines.map(({ weight }) => weight.at(-1));
  chosen.head = ends.indexOf(Math.max(...ends));
}

function chooseHead(layer, head) {
  Object.assign(chosen, { layer, head, cell: null });
  build();
}

/** The weights (T × S) of a layer's head in the present frame. */
function weightsOf(layer, head) {
  const size = layer.rows * layer.columns;
  const first = (chosen.frame * layer.heads + head) * size;
  return layer.weights.subarray(first, first + size);
}

/** The map of the chosen head: queries down, keys across, and a ring around each cell of its line.
 * What a decoder reads stands at the left; at the right, what it has to write then. */
function buildMap() {
  const { layer, head } = chosen;
  const { queries, keys, written, rows, columns } = layer;
  byId("name").textContent = fullName(layer, head);
  markThumbnail(layers, layer, head);
  const sides = sidesOf(layer);
  const label = (token, row, column, name) =>
    element("span", { class: name, title: token, style: `grid-area: ${row} / ${column}` }, token);
  const long = keys.some((token) => widthOf(token) > 3) ? "key long" : "key";
  const canvas = element("canvas", { id: "weights", role: "img", style: "grid-area: 3 / 2 / -1 / -2" });
  const point = (event) => choose({ cell: cellUnder(event, layer) });
  for (const event of ["pointermove", "pointerdown"]) canvas.addEventListener(event, point);
  byId("map").style.setProperty("--queries", rows);
  byId("map").style.setProperty("--keys", columns);
  byId("map").style.setProperty("--longest", Math.max(...queries.map(widthOf)));
  byId("map").replaceChildren(
    canvas,
    label(sides.query, 2, 1, "query grey"),
    element("span", { class: "axis grey", style: "grid-area: 1 / 2 / auto / -2" }, sides.key),
    ...keys.map((token, j) => label(readable(token), 2, j + 2, long)),
    ...queries.map((token, i) => label(readable(token), i + 3, 1, "query")),
    ...cellsOnLine(layer, head).map(([i, j]) => element("i", { style: `grid-area: ${i + 3} / ${j + 2}` })),
    element("b", { id: "pointed", hidden: true }),
  );
  if (written.length) {
    byId("map").append(
      label(sides.write, 2, columns + 2, "write grey"),
      ...written.map((token, i) => label(readable(token), i + 3, columns + 2, "write")),
    );
  }
}

/** The cells (query, key) of a head's line. */
function cellsOnLine({ lines, rows, columns }, head) {
  const { slope, offset } = lines[head];
  return [...Array(rows).keys()].map((i) => [i, offset + slope * i]).filter(([, j]) => j >= 0 && j < columns);
}

/** Paints all heads as they are in the present frame, and tells the weight of the chosen cell, or
 * else the largest. */
function showHead() {
  const { layer, head, cell } = chosen;
  const { queries, keys, written, rows, columns } = layer;
  const weights = weightsOf(layer, head);
  paintThumbnails(layers, weightsOf);
  paintWeights(byId("weights"), weights, rows, columns);
  const { row, column } = cell ?? largestCell();
  const said = (tokens, place) => `“${readable(tokens[place])}” (place ${place + 1})`;
  const asking = written.length
    ? `Reading ${said(queries, row)} to write “${readable(written[row])}”`
    : said(queries, row);
  const weight = exact(weights, row * columns + column);
  byId("cell").textContent = `${asking}: weight ${weight} on ${said(keys, column)}${cell ? "" : ", the largest"}`;
  byId("weights").ariaLabel = byId("cell").textContent;
  byId("pointed").hidden = !cell;
  byId("pointed").style.gridArea = `${row + 3} / ${column + 2}`;
  byId("birth").textContent = short(layer.lines[head].weight[chosen.frame]);
}

/** The cell with the largest weight of the chosen head. */
function largestCell() {
  const weights = weightsOf(chosen.layer, chosen.head);
  const most = weights.reduce((best, weight, k) => (weight > weights[best] ? k : best), 0);
  return { row: Math.floor(most / chosen.layer.columns), column: most % chosen.layer.columns };
}

/** Chooses the next cell that way, and the largest first. */
function stepCell({ key }) {
  const { layer, cell } = chosen;
  if (!layer || !(key in ARROWS)) return false;
  const { row, column } = cell ?? largestCell();
  const [down, across] = cell ? ARROWS[key] : [0, 0];
  choose({ cell: { row: within(row + down, layer.rows), column: within(column + across, layer.columns) } });
  return true;
}
