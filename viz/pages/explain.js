// A backward pass, step by step: a view is a picture with its steps, and a folded card has a view of
// its own. What is shown follows from the view and the number of the step alone.

let record; // what viz/pages/explain.py gathered: items, arrays, formulas, pictures, views
let view; // the one shown, with what `prepared` adds
let at = 0; // the number of the step
let scale = 1; // pixels per point of the picture
let playing = null;

const MANY = 6; // of more contributions, the first are named and only the sum is shown

inflated(DATA).then((bytes) => {
  record = JSON.parse(new TextDecoder().decode(bytes));
  listen();
  openFragment();
  document.body.dataset.ready = "yes";
});

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
  const [first, ...others] = folded ? members.filter((item) => record.items[item].op).map(pathOf) : [pathOf(members[0])];
  let length = first.length;
  for (const path of others) while (path.slice(0, length).join("\0") !== first.slice(0, length).join("\0")) length -= 1;
  return first.slice(0, length);
}

/** The modules of a view as trees, one for each direction: a node is a run of steps inside one call,
 * from the step number `step` on, with the runs in it; `leaves` has the innermost call at each step. */
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
  byId("play").onclick = play;
  byId("before").onclick = () => goModule(-1);
  byId("after").onclick = () => goModule(1);
  byId("where").onclick = toggleOutline;
  byId("slider").oninput = () => go(Number(byId("slider").value));
  byId("smaller").onclick = () => zoom(scale / 1.2);
  byId("larger").onclick = () => zoom(scale * 1.2);
  addTheme();
  addEventListener("hashchange", openFragment);
  const keys = {
    ArrowRight: () => go(at + 1),
    ArrowLeft: () => go(at - 1),
    Home: () => go(0),
    End: () => go(Infinity),
    n: () => goModule(1),
    p: () => goModule(-1),
    Enter: () => stepInside(),
    Escape: () => stepOut(),
    " ": play,
    "+": () => zoom(scale * 1.2),
    "-": () => zoom(scale / 1.2),
  };
  onKey(document, ({ key, target }) => {
    const own = target.matches("input") ? ["ArrowRight", "ArrowLeft", "Home", "End"] : ["Enter", " "];
    const isTaken = target.matches("input, button, summary") && own.includes(key);
    if (!(key in keys) || isTaken) return false;
    keys[key]();
    return true;
  });
}

/** Start to walk, or stop. */
function play() {
  clearInterval(playing);
  if (!playing && at === view.steps.length - 1) go(0);
  playing = playing ? null : setInterval(() => (at < view.steps.length - 1 ? go(at + 1) : play()), 1200);
  byId("play").textContent = playing ? "pause" : "play";
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

/* The picture. */

function showPicture() {
  const graph = byId("graph");
  graph.innerHTML = record.pictures[view.picture];
  const picture = graph.querySelector("svg");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `graph of ${view.title}`);
  for (const node of graph.querySelectorAll(".node")) {
    const box = node.getBBox();
    const ring = { x: box.x - 3, y: box.y - 3, width: box.width + 6, height: box.height + 6 };
    node.append(svg("rect", { class: "ring", ...ring }));
    node.append(svg("text", { class: "badge", x: box.x + box.width - 4, y: box.y - 3 }));
    node.onclick = () => jump(node.id);
    node.ondblclick = () => stepInside(view.units.find((unit) => unit.view !== undefined && unit.nodes[0] === node.id));
  }
  const { width } = picture.viewBox.baseVal;
  zoom(Math.max(0.95, Math.min(1.5, (graph.clientWidth - 24) / width)));
}

function zoom(to) {
  scale = Math.max(0.2, Math.min(4, to));
  const picture = byId("graph").querySelector("svg");
  const { width, height } = picture.viewBox.baseVal;
  picture.setAttribute("width", width * scale);
  picture.setAttribute("height", height * scale);
  keepInView();
}

/** Scroll the picture so that the nodes of this step can be seen. */
function keepInView() {
  const graph = byId("graph");
  const node = graph.querySelector(".current .ring");
  if (!node) return;
  const [pane, box] = [graph.getBoundingClientRect(), node.getBoundingClientRect()];
  const fitsDown = box.top > pane.top + 30 && box.bottom < pane.bottom - 30;
  const fitsAcross = box.left > pane.left && box.right < pane.right;
  if (fitsDown && fitsAcross) return;
  const left = (box.left + box.right - pane.left - pane.right) / 2;
  const top = (box.top + box.bottom - pane.top - pane.bottom) / 2;
  const near = Math.abs(top) < pane.height && !matchMedia("(prefers-reduced-motion: reduce)").matches;
  graph.scrollBy({ left, top, behavior: near ? "smooth" : "auto" });
}

/** Go to a step of a node: in this half of the walk first, then in the other, then round again. */
function jump(node) {
  const half = (kind) => view.steps.flatMap((step, i) => (step.kind === kind && step.unit.nodes.includes(node) ? [i] : []));
  const steps = isBackward()
    ? [...half("backward"), ...half("forward")]
    : [...half("forward"), ...half("backward")];
  if (steps.length) go(steps[(steps.indexOf(at) + 1) % steps.length]);
}

/** The items that a node is about: its ops, or its leaf. */
function itemsOf(node) {
  const units = view.units.filter((unit) => unit.nodes.includes(node));
  const items = units.flatMap((unit) => unit.members);
  const ops = items.filter((item) => record.items[item].op);
  return ops.length ? ops : items;
}

/** Mark what has been done, what is going on, and what waits with a part of its gradient. */
function highlight() {
  const graph = byId("graph");
  const backwards = isBackward();
  const current = view.steps[at].unit?.nodes ?? [];
  graph.firstElementChild.classList.toggle("forward", !backwards);
  graph.firstElementChild.classList.toggle("backwards", backwards);
  const ahead = new Set();
  for (const node of graph.querySelectorAll(".node")) {
    const items = itemsOf(node.id);
    const isAhead = !backwards && items.some((item) => view.computed.get(item) > at);
    if (isAhead) ahead.add(node.id);
    const expected = items.flatMap((item) => contributionsFromOutside(item, items));
    const arrived = expected.filter(([source]) => sentAt(source) <= at).length;
    const done = backwards && items.length > 0 && items.every((item) => view.visited.get(item) <= at);
    const waiting = backwards && !done && arrived > 0 && !current.includes(node.id);
    mark(node, { ahead: isAhead, done, waiting, current: current.includes(node.id) });
    node.querySelector(".badge").textContent = waiting && expected.length > 1 ? `${arrived} of ${expected.length}` : "";
  }
  const flows = flowsBySteps();
  for (const edge of graph.querySelectorAll(".edge")) {
    const [source, target] = edge.id.split("-");
    const steps = backwards ? flows.get(`${source}-${target}`) ?? [] : [];
    mark(edge, {
      ahead: ahead.has(target),
      arriving: !backwards && current.includes(target),
      flow: steps.includes(at),
      flowed: steps.some((step) => step < at),
    });
  }
  byId("key").textContent = backwards
    ? "thick: gradient flows here · dashed: gradient has come, not gone on yet"
    : "pale: not computed yet";
  keepInView();
}

/** Give an element exactly those of these classes that are true. */
function mark(element, classes) {
  for (const [name, on] of Object.entries(classes)) element.classList.toggle(name, on);
}

/** What an item has received from others than the items beside it. */
function contributionsFromOutside(item, beside) {
  return (record.items[item].received ?? []).filter(([source]) => !beside.includes(source));
}

/** For each edge "n0-n1", the steps at which a gradient flows along it, against its direction. */
function flowsBySteps() {
  if (view.flows) return view.flows;
  view.flows = new Map();
  for (const [item, homes] of Object.entries(view.homes)) {
    for (const [source] of record.items[item].received ?? []) {
      for (const from of homes) {
        for (const to of view.homes[source] ?? []) {
          const key = `${from}-${to}`;
          view.flows.set(key, [...(view.flows.get(key) ?? []), sentAt(source)]);
        }
      }
    }
  }
  return view.flows;
}

/* The step, in words and numbers. */

function showStep() {
  const { kind, unit } = view.steps[at];
  const parts = unit?.folded
    ? { forward: forwardFolded, backward: backwardFolded }
    : { start, forward, backward, end };
  byId("step").replaceChildren(...parts[kind](unit).filter((part) => part !== null));
  byId("step").scrollTop = 0;
}

function paragraph(className, ...parts) {
  return element("p", { class: className }, ...parts);
}

/** What a step is called: its phase, its unit, and where in the model that is. */
function heading(phase, label, item) {
  const { path, op = "", params = "" } = item ?? {};
  const around = path === undefined ? "" : record.paths[path].join(".");
  const place = [op !== label ? op : "", params, around ? `in ${around}` : ""].filter(Boolean).join(" · ");
  return [
    element("h2", { id: "what" }, element("span", { class: `phase ${phase}` }, phase), ` ${label}`),
    place ? paragraph("grey", place) : null,
  ];
}

/** The name of an item, which leads to its step; the card's, where it is folded in one. */
function mention(item) {
  const { label, op } = record.items[item];
  const unit = view.unitOf.get(item);
  const to = (isBackward() ? view.visited : view.computed).get(item);
  const inner = pathOf(item).at(-1);
  const words = unit?.folded ? unit.label : op && inner ? `${label} in ${inner}` : label;
  if (to === undefined || to === at) return element("b", {}, unit ? words : op ? `${words} (outside)` : words);
  const link = { type: "button", class: "mention", title: `to step ${to}`, onclick: () => go(to) };
  return element("button", link, `${words} #${to}`);
}

/** The same names joined: "a", "a and b", "a, b and c"; what comes twice is counted, and of many
 * the first are named. */
function mentions(items) {
  const counts = new Map();
  for (const item of items) {
    const { path, label } = record.items[item];
    const key = view.unitOf.get(item) ?? `${path} ${label}`; // outside, alike ones are told as one
    counts.set(key, [item, (counts.get(key)?.[1] ?? 0) + 1]);
  }
  const shown = [...counts.values()].slice(0, MANY);
  const parts = shown.map(([item, n]) => [mention(item), n > 1 ? ` (${n}×)` : ""]);
  if (counts.size > MANY) parts.push([`${(counts.size - MANY).toLocaleString("en")} more`]);
  return parts.flatMap((part, i) => (i === 0 ? part : [i === parts.length - 1 ? " and " : ", ", ...part]));
}

function box(className, ...parts) {
  return element("section", { class: `box ${className}` }, ...parts.flat().filter((part) => part !== null));
}

function start() {
  const leaves = leavesHere();
  const { steps, turn } = view;
  const root = record.items[view.newest];
  const [there, back] = [turn - 1, steps.length - 1 - turn];
  return [
    ...heading("start", view.title),
    view.parent === null ? aboutBox() : null,
    view.definition ? paragraph("because", "This is what the op means, in smaller ops, on the same numbers. The engine ",
      "itself computes it at once and has one rule for it: its numbers are these, but for rounding.") : null,
    paragraph("", `${there} steps forward compute the result; ${back} steps backward bring every gradient. `,
      "All numbers are those of the engine."),
    paragraph("grey", "A click on a node goes to its step."),
    view.units.some((unit) => unit.folded)
      ? paragraph("grey", "Cards of many ops are folded: Enter steps inside, Escape out again.")
      : view.units.some((unit) => unit.view !== undefined)
        ? paragraph("grey", "Some ops have a definition in smaller ones: Enter steps inside, Escape out again.")
        : null,
    view.parent === null ? seedNote(root) : null,
    leaves.length ? element("h3", {}, "Given") : null,
    ...leaves.map((item) => valueBox(item)),
  ];
}

/** What is explained, in the words of whoever asked for the page. */
function aboutBox() {
  const told = Object.entries(record.about).flatMap(([word, text]) => [element("dt", {}, word), element("dd", {}, text)]);
  return told.length ? element("dl", { class: "about" }, ...told) : null;
}

/** What the backward pass starts from, where that is not the plain 1. */
function seedNote(root) {
  const { shape } = record.arrays[root.value];
  const size = shape.reduce((a, b) => a * b, 1);
  if (size === 1) return null;
  return paragraph("because", `The result has ${size.toLocaleString("en")} elements. `,
    "The backward pass starts from a gradient of ones: it is that of their sum.");
}

/** The leaves in this view, and what comes into it from outside. */
function leavesHere() {
  return Object.keys(view.homes).map(Number).filter((item) => {
    const unit = view.unitOf.get(item);
    return unit ? !unit.folded && !record.items[item].op : true;
  });
}

function valueBox(item) {
  const { label, value, op } = record.items[item];
  return box("", element("h3", {}, op ? `from ${label}` : label), numbers(value, "value", item));
}

function end() {
  const leaves = leavesHere().filter((item) => record.items[item].gradient !== undefined);
  return [
    ...heading("end", "What has arrived"),
    paragraph("", "Every contribution has been sent and added. In these directions, and this fast, the result changes:"),
    ...leaves.map((item) => {
      const { label, value, gradient, op } = record.items[item];
      const isComplete = record.items[item].received.every(([source]) => sentAt(source) < Infinity);
      const whole = op || view.definition ? "gradient" : "gradient: what backward() adds to .grad";
      return box("arrives",
        element("h3", {}, op ? `from ${label}` : label),
        caption("value"), numbers(value, "value", item),
        caption(isComplete ? whole : "gradient, with what others have yet to send"),
        numbers(gradient, "gradient", item));
    }),
  ];
}

function caption(...words) {
  return element("div", { class: "caption" }, ...words);
}

function forward(unit) {
  const [item] = unit.members;
  const { inputs, value, formulas } = record.items[item];
  return [
    ...heading("forward", unit.label, record.items[item]),
    formula(record.formulas[formulas].computed),
    insideButton(unit),
    ...inputs.map((input) =>
      box("", element("h3", {}, ...operand(item, input)), numbers(input[2], "input", item))),
    box("result", element("h3", {}, ...ofTheRule("y", "the result")), numbers(value, "value", item)),
  ];
}

/** What an input is called in the rule, and what it is here: "b is your b", "a is matmul #1". */
function operand(item, [name, from]) {
  return [element("var", {}, name), " is ", ...(from === null ? ["a constant"] : given(item, from))];
}

/** An input of an op; the user's own, where its name means something in the rule, as "your y". */
function given(item, from) {
  const { label, op } = record.items[from];
  const letters = ["g", "y", ...record.items[item].inputs.map(([name]) => name)];
  return [!op && letters.includes(label) ? "your " : "", mention(from)];
}

/** What a letter of the rule is, and that it is not what the user calls so. */
function ofTheRule(letter, words) {
  const isTaken = record.items.some(({ label, op }) => !op && label === letter);
  return [element("var", {}, letter), ` is ${words}`, isTaken ? `, not your ${letter}` : ""];
}

function forwardFolded(unit) {
  const inside = new Set(unit.members);
  const used = unit.members.flatMap((item) => (record.items[item].inputs ?? []).map(([, from]) => from));
  const inputs = [...new Set(used)].filter((from) => from !== null && !inside.has(from));
  return [
    ...heading("forward", unit.label),
    insideButton(unit),
    ...inputs.map((item) => box("", element("h3", {}, "in: ", mention(item)), numbers(record.items[item].value, "input", item))),
    ...unit.results.map((item) => box("result", element("h3", {}, "out"), numbers(record.items[item].value, "value", item))),
  ];
}

function insideButton(unit) {
  if (unit.view === undefined) return null;
  const ops = unit.folded
    ? `${unit.members.filter((item) => record.items[item].op).length} ops`
    : `its definition, ${record.views[unit.view].forward.length} steps`;
  const button = { type: "button", id: "inside", onclick: () => stepInside(unit) };
  return paragraph("", element("button", button, `⤵ step inside: ${ops} (Enter)`));
}

function backward(unit) {
  const [item] = unit.members;
  const { op, inputs, formulas, slopes, value } = record.items[item];
  if (!op) {
    return [
      ...heading("backward", unit.label, record.items[item]),
      arrives(item, "Its gradient is complete: a leaf sends nothing on."),
      box("", element("h3", {}, "its value"), numbers(value, "value", item)),
    ];
  }
  const { rules } = record.formulas[formulas];
  const shared = rules.length > 1 && rules.every((rule) => rule.mathml === rules[0].mathml && rule.line === rules[0].line);
  const idle = inputs.filter((input, place) => sendingOf(item, input, place) === null);
  return [
    ...heading("backward", unit.label, record.items[item]),
    insideButton(unit),
    arrives(item),
    shared ? box("", element("h3", {}, "The rule"), ...ruleParts(rules[0])) : null,
    ...inputs.map((input, place) => {
      const sending = sendingOf(item, input, place);
      if (sending === null) return null;
      const how = shared ? [] : ruleParts(rules[Math.min(place, rules.length - 1)]);
      if (slopes) how.push(caption(`slope ${short(slopes[place])}`));
      return sends(item, input, sending, how);
    }),
    idle.length
      ? paragraph("grey", `Nothing is sent to ${idle.map(([name]) => name).join(", ")}: no gradient is required there.`)
      : null,
    element("details", {}, element("summary", {}, "the values that the rule reads"),
      ...inputs.map((input) => element("div", {}, caption(...operand(item, input)), numbers(input[2], "input", item))),
      caption(...ofTheRule("y", "the result")), numbers(value, "value", item)),
  ];
}

/** Where in the list of what an input received the contribution of this op by this place is. */
function sendingOf(item, [, target], place) {
  if (target === null) return null;
  const found = (record.items[target].received ?? []).findIndex(([source, by]) => source === item && by === place);
  return found < 0 ? null : found;
}

/** The gradient that arrives at an item: from whom, and why it is complete now. */
function arrives(item, more = "") {
  const { received, gradient } = record.items[item];
  const sources = received.map(([source]) => source);
  const words =
    received.length === 0 ? "The start: the derivative of the result by itself." :
    received.length === 1 ? "Its one consumer has been visited, so this is all of it." :
    `All ${received.length} contributions of its consumers have arrived; nothing newer can still send one: ` +
      "that is why the order is from newest to oldest.";
  return box("arrives",
    element("h3", {}, ...ofTheRule("g", "the gradient that arrives")),
    received.length ? paragraph("", "from ", ...mentions(sources)) : null,
    received.length > 1 && received.length <= MANY
      ? equation(...received.flatMap(([, , summed]) => ["+", numbers(summed, "term", item)]).slice(1),
        "=", numbers(gradient, "gradient", item))
      : numbers(gradient, "gradient", item),
    paragraph(received.length > 1 ? "because" : "grey", words, more ? ` ${more}` : ""));
}

/** Arrays, signs and words in a row, such as "a + b = c". */
function equation(...parts) {
  const made = parts.map((part) => (typeof part === "string" ? element("span", { class: "sign" }, part) : part));
  return element("div", { class: "equation" }, ...made);
}

/** What an op sends to one input: how, the numbers, and what they are added to. */
function sends(item, [name, target], index, how) {
  const { received } = record.items[target];
  const [, , summed, total, ruled, axes] = received[index];
  const rest = received.slice(index + 1);
  return box(rest.length ? "sends" : "sends full",
    element("h3", {}, "to ", element("var", {}, name), ": ", ...given(item, target)),
    ...how,
    ruled === undefined ? null : caption("what the rule gives"),
    ruled === undefined ? null : numbers(ruled, "ruled", target),
    ruled === undefined ? null : undone(ruled, summed, axes),
    numbers(summed, "sent", target),
    ...added(target, index, total, rest));
}

/** How broadcasting is undone. */
function undone(ruled, summed, axes) {
  const [from, to] = [ruled, summed].map((array) => shapeText(record.arrays[array].shape));
  const along = `${axes.length > 1 ? "axes" : "axis"} ${axes.join(", ")}, along which the input was repeated`;
  return paragraph("because", `Broadcasting is undone: ${from} → ${to}, `,
    axes.length ? `summed over ${along}.` : "reshaped.");
}

/** What has come to an item with this contribution, and what it still waits for. */
function added(target, index, total, rest) {
  const { received } = record.items[target];
  if (received.length === 1) return [paragraph("grey", "The only contribution: its gradient is complete.")];
  const number = element("b", { class: "awaited", "data-value": rest.length }, String(rest.length));
  const waits = rest.length
    ? ["still awaited: ", number, ", from ", ...mentions(rest.map(([source]) => source))]
    : ["the last one: nothing more is awaited ", element("b", { class: "awaited", "data-value": 0 }, "(0 left)")];
  if (index === 0) return [paragraph("", `The first of ${received.length} contributions; `, ...waits, ".")];
  return [
    paragraph("", "It is added to what has come from ",
      ...mentions(received.slice(0, index).map(([source]) => source)), ":"),
    equation(numbers(received[index - 1][3], "before", target), "+ this =", numbers(total, "total", target)),
    paragraph("", `${index + 1} of ${received.length} contributions; `, ...waits, "."),
  ];
}

function backwardFolded(unit) {
  const inside = new Set(unit.members);
  const leaves = unit.members.filter((item) => !record.items[item].op && record.items[item].gradient !== undefined);
  const gradients = leaves.map((item) => {
    const { label, gradient } = record.items[item];
    return element("div", {}, caption(label), numbers(gradient, "gradient", item));
  });
  return [
    ...heading("backward", unit.label),
    insideButton(unit),
    ...unit.results.map((item) => {
      const from = record.items[item].received.map(([source]) => source).filter((source) => !inside.has(source));
      return box("arrives", element("h3", {}, "in: the gradient of its result"),
        from.length ? paragraph("", "from ", ...mentions(from)) : null,
        numbers(record.items[item].gradient, "gradient", item));
    }),
    ...unit.passed.map(([target, summed, number]) => {
      const { received } = record.items[target];
      const index = received.findLastIndex(([source]) => inside.has(source));
      const rest = received.slice(index + 1);
      return box(rest.length ? "sends" : "sends full",
        element("h3", {}, "out: to ", mention(target)),
        number > 1 ? caption(`${number} contributions of its ops, summed`) : null,
        numbers(summed, "sent", target),
        ...(number === received.length ? [paragraph("grey", "All that it receives.")] : [
          caption(`with what came before: ${index + 1} of ${received.length} contributions`),
          numbers(received[index][3], "total", target),
          rest.length
            ? paragraph("", `still awaited: ${rest.length}, from `, ...mentions(rest.map(([source]) => source)), ".")
            : paragraph("", "nothing more is awaited."),
        ]));
    }),
    leaves.length
      ? element("details", leaves.length < 4 ? { open: "" } : {},
        element("summary", {}, `gradients of ${leaves.length} leaves inside`), ...gradients)
      : null,
  ];
}

/** A rule: its formula, where it is written, and how. */
function ruleParts({ mathml, file, line, source, note }) {
  const [first, ...more] = source.split("\n");
  const place = file ? `${file}:${line}` : "no source";
  const block = (text) => element("pre", {}, element("code", {}, text));
  const code = more.length
    ? element("details", {}, element("summary", {}, element("code", {}, first)), block(more.join("\n")))
    : block(first);
  return [
    formula(mathml),
    note ? caption(note) : null,
    element("div", { class: "source" }, element("span", { class: "grey" }, place), source ? code : ""),
  ];
}

/** A formula, which Python wrote and escaped. */
function formula(mathml) {
  const made = element("div", { class: "formula" });
  made.innerHTML = mathml;
  return made;
}

/* Arrays. */

function shapeText(shape) {
  return shape.join("×") || "scalar";
}

/** An array as tables of tinted numbers, or, if it is large, as what it is like. */
function numbers(number, role, item) {
  const array = record.arrays[number];
  const about = `${shapeText(array.shape)} ${array.dtype}`;
  const content = array.values ? tables(array) : summary(array);
  return element("div", { class: "array", "data-role": role, "data-item": item, title: about }, ...content);
}

/** A table for each matrix in an array; a vector in rows of eight. */
function tables({ shape, values }) {
  if (!values.length) return [caption(`empty: ${shapeText(shape)}`)];
  const columns = shape.length < 2 ? Math.min(8, values.length) : shape.at(-1);
  const size = shape.length < 2 ? values.length : columns * shape.at(-2);
  const most = largest(values);
  const slices = [];
  for (let start = 0; start < values.length; start += size) {
    const rows = [];
    for (let i = start; i < start + size; i += columns) rows.push(values.slice(i, Math.min(i + columns, start + size)));
    const table = heat(rows, most);
    table.classList.toggle("wide", columns > 5);
    const label = shape.length > 2 ? [caption(`[${indexOf(start / size, shape.slice(0, -2)).join(", ")}]`)] : [];
    slices.push(element("div", { class: "slice" }, ...label, table));
  }
  return slices;
}

/** The indices of the n-th element along these axes. */
function indexOf(n, shape) {
  return shape.map((_, axis) => {
    const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    return Math.floor(n / inner) % shape[axis];
  });
}

function summary({ shape, corner, min, mean, max, bins, notFinite }) {
  const facts = min === undefined
    ? ["no finite element"]
    : [`min ${short(min)}`, `mean ${short(mean)}`, `max ${short(max)}`];
  if (notFinite) facts.push(`${notFinite.toLocaleString("en")} not finite`);
  const exact = { "data-min": min, "data-mean": mean, "data-max": max };
  const text = element("div", { class: "facts number", ...exact }, `${shapeText(shape)} · ${facts.join(" · ")}`);
  const parts = bins ? [text, bars(bins, min, max)] : [text];
  return corner ? [...parts, ...cornerOf(corner, shape)] : parts;
}

/** The first numbers of a large array, and that there are more. */
function cornerOf(corner, shape) {
  const index = shape.slice(0, -2).map(() => 0);
  const [rows, columns] = shape.length > 1 ? shape.slice(-2) : [1, shape[0]];
  const part = [corner.length < rows ? `:${corner.length}` : ":", corner[0].length < columns ? `:${corner[0].length}` : ":"];
  const place = [...index, ...(shape.length > 1 ? part : part.slice(1))].join(", ");
  return [caption(`[${place}]`), heat(corner)];
}

/** A histogram: a bar for each bin between two numbers, in the colour of its sign. */
function bars(bins, low, high) {
  const [width, height] = [240, 40];
  const most = Math.max(...bins);
  const wide = width / bins.length;
  const edge = (i) => low + ((high - low) * i) / bins.length;
  const viewBox = `0 -1 ${width} ${height + 2}`;
  const picture = svg("svg", { class: "bars", viewBox, preserveAspectRatio: "none", role: "img", "aria-label": "histogram" });
  for (const [i, count] of bins.entries()) {
    const tall = count ? Math.max(1, (height * count) / most) : 0;
    const tip = svg("title", {}, `${short(edge(i))} to ${short(edge(i + 1))}: ${count.toLocaleString("en")}`);
    const sign = edge(i) + edge(i + 1) < 0 ? "below" : "above";
    picture.append(svg("rect", { class: sign, x: i * wide + 0.5, y: height - tall, width: wide - 1, height: tall }, tip));
  }
  picture.append(svg("line", { x1: 0, x2: width, y1: height, y2: height }));
  return picture;
}
