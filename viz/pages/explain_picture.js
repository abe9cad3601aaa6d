// The picture of a view: what has been done in it, what is going on, and what waits.

let scale = 1; // pixels per point of the picture

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
    const opens = (unit) => unit.view !== undefined && unit.nodes[0] === node.id;
    node.ondblclick = () => stepInside(view.units.find(opens));
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
  const isOf = (step, kind) => step.kind === kind && step.unit.nodes.includes(node);
  const half = (kind) => view.steps.flatMap((step, i) => (isOf(step, kind) ? [i] : []));
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
