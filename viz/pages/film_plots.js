// The curves of a film over its steps.

/** The loss and, of a model with heads, what the chosen one has on its line. They are drawn anew when
 * the window or the head changes. */
function buildPlots() {
  const values = losses.map(([, loss]) => loss);
  const [low, high] = [Math.min(...values), Math.max(0, ...values) || 1];
  const log = low > 0 && high / low > 30;
  plots.length = 0;
  plots.push(plot(byId("losses"), { curves: [losses], low, high, log, marked: frames.map(({ loss }) => loss) }));
  if (chosen.layer) plots.push(plotLine(chosen.layer.lines, chosen.head));
}

/** The mean weight on the line of each head in a layer, and in words what that line is. */
function plotLine(lines, head) {
  const { slope, offset, weight } = lines[head];
  const shift = offset < 0 ? ` − ${-offset}` : offset > 0 ? ` + ${offset}` : "";
  const place = slope > 0 ? `query's place${shift}` : `${offset + 2} − query's place`;
  byId("line").textContent =
    `Rings: key's place = ${place}, of all diagonals and anti-diagonals the one with the most ` +
    "weight in the last frame. The curve is their mean weight" +
    (lines.length > 1 ? "; thin, the layer's other heads on theirs." : ".");
  const along = ({ weight }) => frames.map(({ step }, k) => [step, weight[k]]);
  return plot(byId("births"), { curves: [...lines, lines[head]].map(along), high: 1, marked: weight });
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
