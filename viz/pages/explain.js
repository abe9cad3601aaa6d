// A walk through a backward pass, step by step: a view is a picture with its steps, and a folded card
// has a view of its own. What is shown follows from the view and the number of the step alone:
// explain_picture.js draws it, explain_words.js tells of it, explain_numbers.js shows its arrays.

let record; // what viz/pages/explain.py gathered: items, arrays, formulas, pictures, views
let view; // the one shown, with what `prepared` adds
let at = 0; // the number of the step

const PAUSE = 1200; // milliseconds from one step to the next, while it plays

async function start() {
  record = JSON.parse(new TextDecoder().decode(await inflated(DATA)));
  for (const name of ["items", "arrays"]) record[name] = rowsOf(record[name]);
  listen();
  openFragment();
  document.body.dataset.ready = "yes";
}

/** The rows of a table that comes as its columns, in which null stands for nothing. */
function rowsOf(columns) {
  const rows = [];
  for (const [name, column] of Object.entries(columns)) {
    column.forEach((value, i) => {
      rows[i] ??= {};
      if (value !== null) rows[i][name] = value;
    });
  }
  return rows;
}

/* Views and their steps. */

/** The view of this number, with its steps and the places of its items in them. */
function prepared(number) {
  const found = record.views[number];
  if (found.steps) return found;
  const step = (kind) => (unit) => ({ kind, unit: found.units[unit] });
  found.number = number;
  found.steps = [
    { kind: "start" },
    ...found.forward.map(step("forward")),
    ...found.backward.map(step("backward")),
    { kind: "end" },
  ];
  found.turn = found.forward.length + 1; // the first step backward
  found.computed = new Map(); // for each item, the step that computes it
  found.visited = new Map(); // and the one at which its gradient goes on
  for (const [i, { kind, unit }] of found.steps.entries()) {
    const places = { forward: found.computed, backward: found.visited }[kind];
    for (const item of unit?.members ?? []) places?.set(item, i);
  }
  found.unitOf = new Map(found.units.flatMap((unit) => unit.members.map((item) => [item, unit])));
  found.newest = Math.max(...found.unitOf.keys());
  found.modules = modulesOf(found);
  return found;
}

/** The step at which an item sends its contributions: what lies outside and is newer has sent them
 * before the view begins, what is older will after it has ended. */
function sentAt(item) {
  return view.visited.get(item) ?? (item > view.newest ? 0 : Infinity);
}

/** Whether the present step belongs to the way back. */
function isBackward() {
  return at >= view.turn;
}

/** Show a step of a view. */
function show(number, step) {
  if (view?.number !== number) {
    view = prepared(number);
    showPicture();
    showTrail();
  }
  at = within(step, view.steps.length);
  remember(number ? `view=${number}&step=${at}` : `step=${at}`);
  showControls();
  showStep();
  highlight();
}

/** Show what the fragment of the page's address asks for. */
function openFragment() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const number = Number(asked.get("view"));
  show(number in record.views ? number : 0, Math.trunc(Number(asked.get("step"))) || 0);
}

function go(step) {
  show(view.number, step);
}

/** Into the view of the folded unit, or of the definition of the op, at this step. */
function stepInside(unit = view.steps[at].unit) {
  if (unit?.view === undefined) return;
  show(unit.view, isBackward() ? prepared(unit.view).turn : 1);
}

/** Back to the card that has this view inside. */
function stepOut(to = view.parent) {
  if (to === null) return;
  let inner = view;
  while (inner.parent !== to) inner = record.views[inner.parent];
  const outer = prepared(to);
  const unit = outer.units.find((unit) => unit.view === inner.number);
  const kind = isBackward() ? "backward" : "forward";
  show(to, outer.steps.findIndex((step) => step.unit === unit && step.kind === kind));
}

/* Modules. */

/** The names of the calls around an item, outermost first. */
function pathOf(item) {
  return record.paths[record.items[item].path];
}

/** The path of the innermost call around all that a step is about. */
function pathOfUnit({ members, folded }) {
  const ops = folded ? members.filter((item) => record.items[item].op) : members.slice(0, 1);
  const [first, ...others] = ops.map(pathOf);
  const isShared = (name, depth) => others.every((path) => path[depth] === name);
  const length = first.findIndex((name, depth) => !isShared(name, depth));
  return length < 0 ? first : first.slice(0, length);
}

/** The modules of a view as trees, one for each direction: a node is a run of steps inside one call,
 * from the step number `step` on, with the runs in it. `starts` has the steps where a call begins. */
function modulesOf({ steps }) {
  const trees = { forward: { runs: [] }, backward: { runs: [] } };
  const starts = []; // the steps at which another call is gone into, or come back to
  let before = null;
  for (const [step, { kind, unit }] of steps.entries()) {
    const path = unit ? pathOfUnit(unit) : [];
    let node = trees[kind] ?? { runs: [] };
    for (const name of path) {
      const open = node.runs.at(-1);
      if (open?.name !== name || open.last !== step - 1) node.runs.push({ name, step, last: step, runs: [] });
      node = node.runs.at(-1);
      node.last = step;
    }
    const here = `${kind} ${path.join("\0")}`;
    if (here !== before) starts.push(step);
    before = here;
  }
  return { ...trees, starts, any: trees.forward.runs.length + trees.backward.runs.length > 0 };
}

/** To the next place where another module begins, or with -1 to that before. */
function goModule(direction) {
  const { starts } = view.modules;
  const next = direction > 0 ? starts.find((step) => step > at) : starts.findLast((step) => step < at);
  go(next ?? (direction > 0 ? Infinity : 0));
}

/** Where in the model the step is, and the outline, if it is open, with the way to here unfolded. */
function showModules() {
  byId("modules").hidden = !view.modules.any;
  const { unit } = view.steps[at];
  const path = unit ? pathOfUnit(unit) : [];
  byId("where").textContent = `${path.length ? path.join(" › ") : "modules"} ▾`;
  const isOpen = view.modules.any && byId("where").getAttribute("aria-expanded") === "true";
  byId("outline").hidden = !isOpen;
  if (!isOpen) return;
  byId("outline").replaceChildren(...["forward", "backward"].flatMap(outlineOf));
  [...byId("outline").querySelectorAll("[aria-current]")].at(-1)?.scrollIntoView({ block: "nearest" });
}

function outlineOf(kind) {
  const list = (runs) => element("ul", {}, ...runs.map((run) => element("li", {}, entry(run))));
  const entry = ({ name, step, last, runs }) => {
    const here = at >= step && at <= last;
    const link = { type: "button", class: "mention", "aria-current": here ? "step" : null, onclick: () => go(step) };
    const words = [element("button", link, name), ` #${step}${last > step ? `–${last}` : ""}`];
    return runs.length
      ? element("details", here ? { open: "" } : {}, element("summary", {}, ...words), list(runs))
      : element("span", { class: "leaf" }, ...words);
  };
  return [element("h3", {}, kind), list(view.modules[kind].runs)];
}

function toggleOutline() {
  const open = byId("where").getAttribute("aria-expanded") !== "true";
  byId("where").setAttribute("aria-expanded", open);
  showModules();
}

/* Controls. */

function listen() {
  byId("first").onclick = () => go(0);
  byId("back").onclick = () => go(at - 1);
  byId("forward").onclick = () => go(at + 1);
  byId("last").onclick = () => go(Infinity);
  byId("before").onclick = () => goModule(-1);
  byId("after").onclick = () => goModule(1);
  byId("where").onclick = toggleOutline;
  byId("smaller").onclick = () => zoom(scale / 1.2);
  byId("larger").onclick = () => zoom(scale * 1.2);
  addTheme();
  addEventListener("hashchange", openFragment);
  const where = () => ({ at, last: view.steps.length - 1 });
  const keys = {
    ...addWalk({ slider: byId("slider"), button: byId("play"), pause: PAUSE, where, go }),
    n: () => goModule(1),
    p: () => goModule(-1),
    Enter: () => stepInside(),
    Escape: () => stepOut(),
    "+": () => zoom(scale * 1.2),
    "-": () => zoom(scale / 1.2),
  };
  onKey(document, (event) => useKey(event, keys));
}

function showControls() {
  const last = view.steps.length - 1;
  const slider = byId("slider");
  slider.max = last;
  slider.value = at;
  const { kind, unit } = view.steps[at];
  slider.setAttribute("aria-valuetext", unit ? `step ${at}: ${kind} ${unit.label}` : kind);
  byId("count").textContent = `step ${at} of ${last}`;
  byId("first").disabled = byId("back").disabled = at === 0;
  byId("last").disabled = byId("forward").disabled = at === last;
  byId("before").disabled = at === 0;
  byId("after").disabled = at === last;
  showModules();
}

/** The views around this one, each a way out; of many, the outermost and the nearest. */
function showTrail() {
  const around = [];
  for (let outer = view.parent; outer !== null; outer = record.views[outer].parent) around.unshift(outer);
  const way = (to, words) => element("button", { type: "button", onclick: () => stepOut(to) }, words);
  const trail = around.map((to) => way(to, record.views[to].title));
  if (trail.length > 4) trail.splice(1, trail.length - 4, element("span", {}, "…"));
  const parts = [...trail.flatMap((part) => [part, "›"]), element("span", {}, view.title)];
  byId("trail").replaceChildren(...(trail.length ? [way(view.parent, "↑ step out"), ...parts] : []));
}
