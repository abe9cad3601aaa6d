// Self-attention by hand, step by step: `state` says which step and which number the reader looks
// at. attend_cell.js shows how that number came about.

const PAUSE = 2500; // milliseconds from one step to the next, while it plays
const { steps, sentences } = DATA;
const matrices = new Map(steps.flatMap((step) => step.matrices.map((matrix) => [matrix.key, matrix])));
const state = { step: 0, key: null, row: 0, column: 0 };
const DIRECTIONS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function start() {
  for (const matrix of matrices.values()) matrix.values = matrix.values.map((row) => row.map(Number));
  addTheme();
  buildSteps();
  byId("slider").max = steps.length - 1;
  byId("back").onclick = () => go(state.step - 1);
  byId("forward").onclick = () => go(state.step + 1);
  const where = () => ({ at: state.step, last: steps.length - 1 });
  const keys = addWalk({ slider: byId("slider"), button: byId("play"), pause: PAUSE, where, go });
  onKey(document, (event) => !event.target.closest("table, input") && useKey(event, keys));
  addEventListener("hashchange", openFragment);
  openFragment();
  document.body.dataset.ready = "yes";
}

/** Show what the page's address asks for: "#step=3&cell=S0,1,2". */
function openFragment() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const [key, row, column] = asked.get("cell")?.split(",") ?? [];
  Object.assign(state, { key, row: Number(row) - 1, column: Number(column) - 1 });
  go(Number(asked.get("step")) - 1);
}

/** To a step, and in it to the number at the place of the last one, if it has such a place. */
function go(step) {
  state.step = within(Math.trunc(step), steps.length);
  const found = steps[state.step].matrices;
  const before = matrices.get(state.key);
  const alike = (matrix) =>
    (matrix.key === state.key) * 8 + (matrix.sentence === (before?.sentence ?? 0)) * 4
    + (matrix.head === (before?.head ?? 0)) * 2 + (matrix.how !== "given");
  const [nearest] = [...found].sort((a, b) => alike(b) - alike(a));
  showStep();
  choose(nearest?.key ?? null, state.row, state.column);
}

/** Look at a number of a matrix of the present step; the nearest one where there is no such. */
function choose(key, row, column) {
  Object.assign(state, { key });
  const matrix = matrices.get(key);
  if (matrix) {
    state.row = within(row, matrix.rows.length);
    state.column = within(column, matrix.columns.length);
  }
  for (const table of document.querySelectorAll("#step table")) mark(table, table.dataset.key === key);
  showCell(matrix, state.row, state.column);
  const cell = key === null ? "" : `&cell=${encodeURIComponent(`${key},${state.row + 1},${state.column + 1}`)}`;
  remember(`step=${state.step + 1}${cell}`);
}

/** Mark the chosen number, and what stands at its sides, if it is in this table. */
function mark(table, here) {
  for (const cell of table.querySelectorAll("th, td")) {
    const [isRow, isColumn] = [cell.dataset.row === String(state.row), cell.dataset.column === String(state.column)];
    const isSide = cell.tagName === "TH" && (isRow || isColumn);
    cell.classList.toggle("chosen", here && (isSide || (isRow && isColumn)));
  }
}

// The steps, as a list and one of them large.

function buildSteps() {
  let part = "";
  for (const [number, step] of steps.entries()) {
    if (step.part !== part) byId("steps").append(element("h2", {}, step.part));
    part = step.part;
    byId("steps").append(element("button", { type: "button", onclick: () => go(number) }, `${number + 1} ${step.title}`));
  }
}

function showStep() {
  const step = steps[state.step];
  byId("slider").value = state.step;
  byId("slider").setAttribute("aria-valuetext", `step ${state.step + 1}: ${step.title}`);
  byId("count").textContent = `step ${state.step + 1} of ${steps.length}`;
  byId("back").disabled = state.step === 0;
  byId("forward").disabled = state.step === steps.length - 1;
  const buttons = byId("steps").querySelectorAll("button");
  buttons.forEach((button, number) => button.setAttribute("aria-current", number === state.step ? "step" : "false"));
  const list = byId("steps");
  const current = buttons[state.step];
  if (list.scrollHeight > list.clientHeight) list.scrollTop = current.offsetTop - list.clientHeight / 2;
  byId("step").replaceChildren(
    element("p", { class: "part grey" }, `Self-attention ${step.part}`),
    element("h2", {}, step.title),
    element("p", { class: "sentence" }, step.sentence),
    element("p", { class: "formula" }, ...indexed(step.formula)),
    element("div", { class: "groups" }, ...groups(step.matrices)),
    ...step.notes.map((note) => element("p", { class: "note number" }, note)),
  );
}

/** Matrices sentence by sentence, the heads of each side by side; below them, what serves all. */
function groups(found) {
  const numbers = [...new Set(found.map(({ sentence }) => sentence))].sort((a, b) => (a ?? Infinity) - (b ?? Infinity));
  return numbers.map((number) => element(
    "section", {},
    heading(number, numbers.length),
    element("div", { class: "side" }, ...found.filter(({ sentence }) => sentence === number).map(figureOf)),
  ));
}

function heading(number, groups) {
  if (number === null) return groups > 1 ? element("h3", {}, "the same for every word:") : null;
  return sentences.length ? element("h3", {}, `“${sentences[number]}”`) : null;
}

/** A matrix as a table, with what stands at its sides. */
function figureOf(matrix) {
  const { key, title, rows, columns, values, rest, how, places } = matrix;
  const sums = how === "powers" ? columns.length - 1 : columns.length; // from where on none has a tint
  const most = largest(values.flatMap((row) => row.slice(0, sums)));
  const head = columns.map((name, column) => element("th", { scope: "col", "data-column": column }, name));
  const lines = rows.map((name, row) => element(
    "tr", {},
    element("th", { scope: "row", "data-row": row }, name),
    ...values[row].map((value, column) => element("td", {
      title: String(value),
      style: Number.isFinite(value) && column < sums ? `background: ${tint(value, most)}` : null,
      "data-row": row,
      "data-column": column,
      onclick: () => choose(key, row, column),
      onpointerenter: () => showCell(matrix, row, column),
    }, fixed(value, places)))));
  const table = element(
    "table", { class: "heat number", tabindex: 0, "data-key": key, "aria-label": title, onfocus: () => focused(key) },
    element("thead", {}, element("tr", {}, element("td"), ...head)),
    element("tbody", { onpointerleave: () => showCell(matrices.get(state.key), state.row, state.column) }, ...lines));
  onKey(table, ({ key: pressed }) => walk(pressed, key, table));
  return element(
    "figure", {},
    element("figcaption", {}, ...indexed(title)),
    element("div", { class: "scroll" }, table),
    rest ? element("p", { class: "grey" }, rest) : null,
  );
}

function focused(key) {
  if (state.key !== key) choose(key, state.row, state.column);
}

/** A number with so many decimals, as the others of its matrix. */
function fixed(value, places) {
  if (!Number.isFinite(value) || Math.abs(value) >= 1e6) return short(value);
  const text = value.toFixed(places);
  return Number(text) ? text.replace("-", "−") : text.replace("-", "");
}

/** A text with an index, as in W_Q, written as one. */
function indexed(text) {
  return text.split(/(_[A-Z])/).map((part) => (/^_[A-Z]$/.test(part) ? element("sub", {}, part[1]) : part));
}

/** In a table arrows go from number to number, and Escape back to the steps. */
function walk(pressed, key, table) {
  if (pressed === "Escape") table.blur();
  if (!(pressed in DIRECTIONS)) return pressed === "Escape";
  const [down, right] = DIRECTIONS[pressed];
  choose(key, state.row + down, state.column + right);
  table.querySelector("td.chosen").scrollIntoView({ block: "nearest", inline: "nearest" });
  return true;
}
