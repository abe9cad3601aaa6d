// The film's page: one frame and one head are chosen; `show` draws all that depends on them.

const { frames, layers, tokens, right, losses } = DATA;
const PAUSE = 180; // milliseconds from one frame to the next
const chosen = { frame: 0, layer: null, head: 0, cell: null };
const plots = [];
const lines = []; // of the example: the places in each, and the row of the model's answer

/** Unpacks the weights, builds what never changes, and shows what the fragment asks for. */
async function start() {
  for (const layer of layers) {
    [, layer.heads, layer.queries, layer.keys] = layer.weights.shape;
    layer.values = await unpacked(layer.weights);
  }
  addTheme();
  chosen.layer = layers.at(-1);
  chosen.head = mostOnLine(chosen.layer);
  buildThumbnails(byId("heads"), layers, chooseHead);
  for (const button of document.querySelectorAll(".thumbnail")) {
    button.onmousedown = (event) => event.preventDefault(); // it would take the space bar from `play`
  }
  buildExample();
  readFragment();
  const keys = addWalk({
    slider: byId("frame"),
    button: byId("play"),
    pause: PAUSE,
    where: () => ({ at: chosen.frame, last: frames.length - 1 }),
    go: (frame) => choose({ frame }),
  });
  onKey(document, (event) => (event.shiftKey && stepCell(event)) || useKey(event, keys));
  addEventListener("hashchange", () => { readFragment(); chooseHead(); });
  addEventListener("resize", () => { buildExample(); buildPlots(); });
  onTheme(show);
  chooseHead();
}

/** The head of a layer that in the end has most weight on its line. */
function mostOnLine({ lines }) {
  const ends = lines.map(({ weight }) => weight.at(-1));
  return ends.indexOf(Math.max(...ends));
}

/** The weights (T × S) of a layer's head in the present frame. */
function weightsOf(layer, head) {
  const size = layer.queries * layer.keys;
  const first = (chosen.frame * layer.heads + head) * size;
  return layer.values.subarray(first, first + size);
}

/** Chooses another frame or cell, and shows it. */
function choose(change) {
  Object.assign(chosen, change);
  chosen.frame = within(chosen.frame, frames.length);
  show();
}

/** Builds what depends on the head, and shows it. */
function chooseHead(layer = chosen.layer, head = chosen.head) {
  Object.assign(chosen, { layer, head, cell: null });
  buildMap();
  buildPlots();
}

/** Shows the chosen frame of the chosen head. */
function show() {
  const frame = frames[chosen.frame];
  byId("frame").value = chosen.frame;
  byId("frame").setAttribute("aria-valuetext", `step ${frame.step}`);
  byId("step").textContent = frame.step ? `step ${frame.step}` : "before the first step";
  byId("loss").textContent = frame.loss === null ? "–" : short(frame.loss);
  byId("score").textContent = frame.score === null ? "–" : `${percent(frame.score)} (step ${frame.scored})`;
  for (const layer of layers) {
    layer.thumbnails.forEach((button, head) =>
      paintWeights(button.firstChild, weightsOf(layer, head), layer.queries, layer.keys));
  }
  showMap();
  showAnswer(frame.answer);
  byId("birth").textContent = short(chosen.layer.lines[chosen.head].weight[chosen.frame]);
  for (const plot of plots) plot.mark();
  remember(new URLSearchParams({ step: frame.step, layer: chosen.layer.path, head: chosen.head + 1 }));
}

/** A share in percent, where only 1 is "100 %". */
function percent(share) {
  return share === 1 ? "100 %" : `${Math.min(share * 100, 99.9).toFixed(1)} %`;
}

/** The frame and the head that the URL's fragment names, where it does. */
function readFragment() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const layer = layers.find(({ path }) => path === asked.get("layer"));
  const head = Number(asked.get("head")) - 1;
  if (layer && layer.lines[head]) Object.assign(chosen, { layer, head });
  if (asked.has("step")) chosen.frame = nearest(Number(asked.get("step")) || 0);
}

/** The number of the frame whose step is nearest. */
function nearest(step) {
  const far = frames.map((frame) => Math.abs(frame.step - step));
  return far.indexOf(Math.min(...far));
}

/** Chooses the next cell that way, and the largest first. */
function stepCell({ key }) {
  if (!(key in ARROWS)) return false;
  const { layer, cell } = chosen;
  const [i, j] = cell ?? largestCell();
  const [down, across] = cell ? ARROWS[key] : [0, 0];
  choose({ cell: [within(i + down, layer.queries), within(j + across, layer.keys)] });
  return true;
}

/** The map of the chosen head: queries down, keys across, and a ring around each cell of its line.
 * What the decoder reads stands at the left; at the right, what it has to write then. */
function buildMap() {
  const { layer, head } = chosen;
  byId("name").textContent = fullName(layer, head);
  for (const each of layers) {
    each.thumbnails.forEach((button, number) =>
      button.setAttribute("aria-pressed", each === layer && number === head));
  }
  const { asking: query, asked: key } = layer;
  const sides = sidesOf(layer);
  const label = (token, row, column, name) =>
    element("span", { class: name, title: token, style: `grid-area: ${row} / ${column}` }, token);
  const long = tokens[key].some((token) => widthOf(token) > 3) ? "key long" : "key";
  const canvas = element("canvas", { id: "weights", role: "img", style: "grid-area: 3 / 2 / -1 / -2" });
  for (const event of ["pointermove", "pointerdown"]) canvas.addEventListener(event, point);
  byId("map").style.setProperty("--queries", layer.queries);
  byId("map").style.setProperty("--keys", layer.keys);
  byId("map").style.setProperty("--longest", Math.max(...tokens[query].map(widthOf)));
  byId("map").replaceChildren(
    canvas,
    label(sides.query, 2, 1, "query grey"),
    element("span", { class: "axis grey", style: "grid-area: 1 / 2 / auto / -2" }, sides.key),
    ...tokens[key].map((token, j) => label(readable(token), 2, j + 2, long)),
    ...tokens[query].map((token, i) => label(readable(token), i + 3, 1, "query")),
    ...onLine(layer, head).map(([i, j]) => element("i", { style: `grid-area: ${i + 3} / ${j + 2}` })),
    element("b", { id: "pointed", hidden: true }),
  );
  if (query === "target") {
    byId("map").append(
      label(sides.write, 2, layer.keys + 2, "write grey"),
      ...tokens[query].map((_, i) => label(readable(written(i)), i + 3, layer.keys + 2, "write")),
    );
  }
}

/** The cells (query, key) of a head's line. */
function onLine({ lines, queries, keys }, head) {
  const { slope, offset } = lines[head];
  return [...Array(queries).keys()].map((i) => [i, offset + slope * i]).filter(([, j]) => j >= 0 && j < keys);
}

/** Chooses the cell under the pointer. */
function point({ target, clientX, clientY }) {
  const { left, top, width, height } = target.getBoundingClientRect();
  const { queries, keys } = chosen.layer;
  const place = (share, count) => within(Math.floor(share * count), count);
  choose({ cell: [place((clientY - top) / height, queries), place((clientX - left) / width, keys)] });
}

/** The cell with the largest weight of the chosen head. */
function largestCell() {
  const weights = weightsOf(chosen.layer, chosen.head);
  const most = weights.reduce((best, weight, k) => (weight > weights[best] ? k : best), 0);
  return [Math.floor(most / chosen.layer.keys), most % chosen.layer.keys];
}

/** Paints the chosen head's weights, and tells that of the chosen cell, or else the largest. */
function showMap() {
  const { layer, head, cell } = chosen;
  const weights = weightsOf(layer, head);
  paintWeights(byId("weights"), weights, layer.queries, layer.keys);
  const [i, j] = cell ?? largestCell();
  const { asking: query, asked: key } = layer;
  const asking =
    query === "source" ? said(query, i) : `Reading ${said(query, i)} to write “${readable(written(i))}”`;
  const weight = Number(weights[i * layer.keys + j].toPrecision(9)); // all that float32 knows
  byId("cell").textContent = `${asking}: weight ${weight} on ${said(key, j)}${cell ? "" : ", the largest"}`;
  byId("weights").ariaLabel = byId("cell").textContent;
  byId("pointed").hidden = !cell;
  byId("pointed").style.gridArea = `${i + 3} / ${j + 2}`;
}

/** What the decoder has to write after reading the target's tokens up to this place. */
function written(place) {
  return right[place] ?? DATA.end;
}

/** A token by its place, counted from 1. */
function said(side, place) {
  return `“${readable(tokens[side][place])}” (place ${place + 1})`;
}

/** The example: the question, the right answer, and room for the model's, in as many lines as they
 * take: a place is as wide as the widest token that any frame has there. */
function buildExample() {
  const host = byId("example");
  const rows = [tokens.source, right, ...frames.map(({ answer }) => answer)];
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = getComputedStyle(host).font;
  const width = (token) => Math.max(23, pen.measureText(readable(token)).width + 10);
  const widths = Array.from({ length: Math.max(...rows.map((row) => row.length)) }, (_, place) =>
    Math.max(...rows.map((row) => (place in row ? width(row[place]) : 0))));
  const room = host.clientWidth - pen.measureText("the model").width - 12;
  lines.length = 0;
  let free = 0;
  widths.forEach((needed, place) => {
    if (lines.length && needed <= free) lines.at(-1).end = place + 1;
    else {
      lines.push({ start: place, end: place + 1, answer: element("tr", { class: "answer" }) });
      free = room;
    }
    free -= needed;
  });
  const row = (kind, name, list, { start, end }) => element("tr", { class: kind, hidden: list.length <= start },
    element("th", { scope: "row" }, name),
    ...list.slice(start, end).map((token) => element("td", {}, readable(token))));
  host.replaceChildren(...lines.map((line) => element("table", {}, element("tbody", {},
    row("question", "question", tokens.source, line),
    row("right", "right", right, line),
    line.answer))));
}

/** The model's answer under the right one; what is wrong is crossed out, what is missing a gap. */
function showAnswer(answer) {
  const places = Math.max(answer.length, right.length);
  let good = 0;
  for (const { start, end, answer: row } of lines) {
    row.style.visibility = places <= start ? "hidden" : ""; // or all below would jump while it plays
    row.replaceChildren(element("th", { scope: "row" }, "the model"));
    for (let place = start; place < Math.min(end, places); place++) {
      const token = answer[place];
      const fits = token === right[place];
      good += fits;
      const text = token === undefined ? "·" : readable(token);
      const fault = token === undefined ? "missing" : place < right.length ? "wrong" : "too much";
      const bad = { class: "bad", title: fault, "aria-label": `${text}, ${fault}` };
      row.append(element("td", fits ? { class: "good" } : bad, text));
    }
  }
  const all = good === right.length && answer.length === right.length;
  byId("verdict").textContent = all ? "✓ all right" : `✗ ${good} of ${right.length} in their place`;
}

/** The two curves; they are drawn anew when the window or the head changes. */
function buildPlots() {
  const { layer, head } = chosen;
  const line = layer.lines[head];
  const along = ({ weight }) => frames.map(({ step }, k) => [step, weight[k]]);
  const values = losses.map(([, loss]) => loss);
  const [low, high] = [Math.min(...values), Math.max(0, ...values) || 1];
  const log = low > 0 && high / low > 30;
  plots.length = 0;
  plots.push(
    plot(byId("losses"), { curves: [losses], low, high, log, marked: frames.map(({ loss }) => loss) }),
    plot(byId("births"), { curves: [...layer.lines.map(along), along(line)], high: 1, marked: line.weight }),
  );
  const shift = line.offset < 0 ? ` − ${-line.offset}` : line.offset > 0 ? ` + ${line.offset}` : "";
  const place = line.slope > 0 ? `query's place${shift}` : `${line.offset + 2} − query's place`;
  byId("line").textContent =
    `Rings: key's place = ${place}, of all diagonals and anti-diagonals the one with the most ` +
    "weight in the last frame. The curve is their mean weight; thin, the layer's other heads on theirs.";
  show();
}

/** A plot over the steps, on the scale of the frames: their square root. Values go from 0, or with
 * `log` from `low`. The last of the curves is the one that counts; `mark` shows the chosen frame on
 * it, at its value in `marked`; clicking goes to a frame. */
function plot(host, { curves, low = 0, high, log = false, marked }) {
  const [width, height, left, bottom] = [host.clientWidth, 130, 40, 20];
  const last = Math.max(1, frames.at(-1).step, losses.at(-1)?.[0] ?? 0);
  const x = (step) => left + Math.sqrt(step / last) * (width - left - 8);
  const part = log ? (value) => Math.log(value / low) / Math.log(high / low) : (value) => value / high;
  const y = (value) => height - bottom - part(value) * (height - bottom - 8);
  const picture = svg("svg", { width, height, "aria-hidden": true });
  for (const value of log ? decades(low, high) : rounds(high)) {
    picture.append(
      svg("line", { class: "tick", x1: left, x2: width - 8, y1: y(value), y2: y(value) }),
      svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)),
    );
  }
  for (const step of stepsToName(last, x)) {
    const anchor = step === last ? "end" : "middle";
    picture.append(svg("text", { x: x(step), y: height - 5, "text-anchor": anchor }, String(step)));
  }
  curves.forEach((points, k) => {
    const path = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    picture.append(svg("polyline", { class: k === curves.length - 1 ? "curve" : "curve thin", points: path }));
  });
  const rule = svg("line", { class: "now", y1: 4, y2: height - bottom });
  const dot = svg("circle", { class: "now", r: 4.5 });
  picture.append(rule, dot);
  picture.addEventListener("pointerdown", follow);
  picture.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
  host.replaceChildren(picture);

  function follow(event) {
    const share = (event.clientX - picture.getBoundingClientRect().left - left) / (width - left - 8);
    choose({ frame: nearest(last * Math.max(0, share) ** 2) });
  }

  function mark() {
    const at = x(frames[chosen.frame].step);
    const value = marked[chosen.frame];
    for (const end of ["x1", "x2"]) rule.setAttribute(end, at);
    dot.setAttribute("cx", at);
    dot.setAttribute("cy", value === null ? 0 : y(value));
    dot.setAttribute("visibility", value === null ? "hidden" : "visible");
  }
  return { mark };
}

/** The steps to name under a plot: the last, 0, and round ones between as far as there is room. */
function stepsToName(last, x) {
  const named = [last];
  for (let power = 10 ** Math.floor(Math.log10(last)); power >= 1; power /= 10) {
    for (const step of [5 * power, 2 * power, power]) {
      if (x(named.at(-1)) - x(step) > 44 && x(step) - x(0) > 30) named.push(step);
    }
  }
  return [...named, 0];
}

/** Two to five round numbers from 0 to the highest. */
function rounds(high) {
  const power = 10 ** Math.floor(Math.log10(high));
  const step = [0.5, 1, 2, 5].map((part) => part * power).find((part) => high / part <= 4);
  return Array.from({ length: Math.floor(high / step) + 1 }, (_, k) => k * step);
}

/** The powers of ten from one number to another. */
function decades(low, high) {
  const powers = [];
  for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power++) powers.push(10 ** power);
  return powers;
}
