// The step, in words: what comes in, what goes out, by which rule, and why now.

const MANY = 6; // of more contributions, the first are named and only the sum is shown

function showStep() {
  const { kind, unit } = view.steps[at];
  const parts = unit?.folded
    ? { forward: tellFoldedForward, backward: tellFoldedBackward }
    : { start: tellStart, forward: tellForward, backward: tellBackward, end: tellEnd };
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

function tellStart() {
  const leaves = leavesHere();
  const { steps, turn } = view;
  const root = record.items[view.newest];
  const [there, back] = [turn - 1, steps.length - 1 - turn];
  return [
    ...heading("start", view.title),
    view.parent === null ? aboutBox() : null,
    view.definition
      ? paragraph("because", "This is what the op means, in smaller ops, on the same numbers. The engine itself ",
        "computes it at once and has one rule for it: its numbers are these, but for rounding.")
      : null,
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
  const pair = ([word, text]) => [element("dt", {}, word), element("dd", {}, text)];
  const told = Object.entries(record.about).flatMap(pair);
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

function tellEnd() {
  const leaves = leavesHere().filter((item) => record.items[item].gradient !== undefined);
  return [
    ...heading("end", "What has arrived"),
    paragraph("", "Every contribution has been sent and added. ",
      "In these directions, and this fast, the result changes:"),
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

function tellForward(unit) {
  const [item] = unit.members;
  const { inputs, value, formulas } = record.items[item];
  return [
    ...heading("forward", unit.label, record.items[item]),
    formula(record.formulas[formulas].computed),
    insideButton(unit),
    ...inputs.filter(isThere).map((input) =>
      box("", element("h3", {}, ...operand(item, input)), numbers(input[2], "input", item))),
    box("result", element("h3", {}, ...ofTheRule("y", "the result")), numbers(value, "value", item)),
  ];
}

/** Whether an input has been given: a layer may do without a bias. */
function isThere([, , value]) {
  return value !== null;
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

function tellFoldedForward(unit) {
  const inside = new Set(unit.members);
  const used = unit.members.flatMap((item) => (record.items[item].inputs ?? []).map(([, from]) => from));
  const inputs = [...new Set(used)].filter((from) => from !== null && !inside.has(from));
  const values = (role, item) => numbers(record.items[item].value, role, item);
  return [
    ...heading("forward", unit.label),
    insideButton(unit),
    ...inputs.map((item) => box("", element("h3", {}, "in: ", mention(item)), values("input", item))),
    ...unit.results.map((item) => box("result", element("h3", {}, "out"), values("value", item))),
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

function tellBackward(unit) {
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
  const isFirst = ({ mathml, line }) => mathml === rules[0].mathml && line === rules[0].line;
  const shared = rules.length > 1 && rules.every(isFirst);
  const idle = inputs.filter((input, place) => isThere(input) && sendingOf(item, input, place) === null);
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
      ...inputs.filter(isThere).map((input) => element("div", {}, caption(...operand(item, input)), numbers(input[2], "input", item))),
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

function tellFoldedBackward(unit) {
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
