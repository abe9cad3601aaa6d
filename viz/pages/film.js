// The film: one frame is chosen, and one head of a model that has some; `show` draws all that
// depends on them. film_head.js draws the head, film_plots.js the curves.

const { frames, layers, form, question, right, losses } = DATA;
const PAUSE = 180; // milliseconds from one frame to the next
const chosen = { frame: 0, layer: layers.at(-1), head: 0, cell: null };
const isText = form === "text"; // which goes on: nothing of it is right or wrong
const isLabel = !isText && [right, ...frames.map(({ answer }) => answer)].every(({ length }) => length === 1);
const isApart = isLabel || form === "masked"; // the answer is not one of tokens side by side
const plots = [];
const lines = []; // of the example: the places in each, and the row of the model's answer

/** Unpacks the weights, builds what never changes, and shows what the fragment asks for. */
async function start() {
  await unpackLayers(layers, ["weights"]);
  addTheme();
  const keys = addWalk({
    slider: byId("frame"),
    button: byId("play"),
    pause: PAUSE,
    where: () => ({ at: chosen.frame, last: frames.length - 1 }),
    go: (frame) => choose({ frame }),
  });
  onKey(document, (event) => (event.shiftKey && stepCell(event)) || useKey(event, keys));
  addEventListener("hashchange", () => { readFragment(); build(); });
  addEventListener("resize", build);
  onTheme(show);
  if (layers.length) buildHeads();
  readFragment();
  build();
}

/** Builds what depends on the window and the head, and shows the chosen frame in it. */
function build() {
  buildExample();
  buildPlots();
  if (layers.length) buildMap();
  show();
}

/** Chooses another frame or cell, and shows it. */
function choose(change) {
  Object.assign(chosen, change);
  chosen.frame = within(chosen.frame, frames.length);
  show();
}

/** Shows the chosen frame of the chosen head. */
function show() {
  const frame = frames[chosen.frame];
  byId("frame").value = chosen.frame;
  byId("frame").setAttribute("aria-valuetext", `step ${frame.step}`);
  byId("step").textContent = frame.step ? `step ${frame.step}` : "before the first step";
  byId("loss").textContent = frame.loss === null ? "–" : short(frame.loss);
  byId("score").textContent = frame.score ?? "–";
  showAnswer(frame.answer);
  for (const plot of plots) plot.mark();
  const { layer, head } = chosen;
  if (layer) showHead();
  remember(new URLSearchParams({ step: frame.step, ...(layer && { layer: layer.path, head: head + 1 }) }));
}

/** The frame and the head that the URL's fragment names, where it does. */
function readFragment() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const layer = layers.find(({ path }) => path === asked.get("layer"));
  const head = Number(asked.get("head")) - 1;
  if (layer?.lines[head]) Object.assign(chosen, { layer, head, cell: null });
  if (asked.has("step")) chosen.frame = nearest(Number(asked.get("step")) || 0);
}

/** The number of the frame whose step is nearest. */
function nearest(step) {
  const far = frames.map((frame) => Math.abs(frame.step - step));
  return far.indexOf(Math.min(...far));
}

/** The example: the question, the right answer, and room for the model's, in as many lines as they
 * take. A label, or what is missing in gaps, stands below the whole question. A text is prose. */
function buildExample() {
  if (isText) {
    const prose = (name, kind, text) => [element("dt", {}, name), element("dd", { class: kind }, text)];
    byId("example").replaceChildren(element(
      "dl", {},
      ...prose("it reads", "question", ...question),
      ...prose("the text goes on", "right", ...right),
      ...prose("the model goes on", "answer", ""),
    ));
    return;
  }
  const answers = [right, ...frames.map(({ answer }) => answer)];
  const row = (kind, name, list, { start, end }) => element("tr", { class: kind, hidden: list.length <= start },
    element("th", { scope: "row" }, name),
    ...list.slice(start, end).map((token) => element("td", {}, readable(token))));
  const asked = (line) => row("question", "question", question, line);
  const answered = (line) => [row("right", "right", right, line), line.answer];
  const table = (...rows) => element("table", {}, element("tbody", {}, ...rows));
  lines.splice(0, Infinity, ...linesOf(isApart ? answers : [question, ...answers]));
  byId("example").replaceChildren(...(isApart
    ? [...linesOf([question]).map((line) => table(asked(line))), ...lines.map((line) => table(...answered(line)))]
    : lines.map((line) => table(asked(line), ...answered(line)))));
}

/** The lines that rows of tokens take together: a place is as wide as the widest token there. */
function linesOf(rows) {
  const host = byId("example");
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = getComputedStyle(host).font;
  const width = (token) => Math.max(23, pen.measureText(readable(token)).width + 10);
  const widths = Array.from({ length: Math.max(...rows.map((row) => row.length)) }, (_, place) =>
    Math.max(...rows.map((row) => (place in row ? width(row[place]) : 0))));
  const room = host.clientWidth - pen.measureText("the model").width - 12;
  const found = [];
  let free = 0;
  widths.forEach((needed, place) => {
    if (found.length && needed <= free) found.at(-1).end = place + 1;
    else {
      found.push({ start: place, end: place + 1, answer: element("tr", { class: "answer" }) });
      free = room;
    }
    free -= needed;
  });
  return found;
}

/** The model's answer under the right one; what is wrong is crossed out, what is missing a gap. */
function showAnswer(answer) {
  if (isText) {
    document.querySelector("#example dd.answer").textContent = answer[0];
    return;
  }
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
  const faulty = isLabel ? "wrong" : `${good} of ${right.length} in their place`;
  byId("verdict").textContent = all ? `✓ ${isLabel ? "right" : "all right"}` : `✗ ${faulty}`;
}
