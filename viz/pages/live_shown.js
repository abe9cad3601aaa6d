// What the page that is alive shows: `show` draws all of it from `state`, `edits`, `given` and `now`.
// attention_chosen.js tells of the chosen head, and attention_figures.js draws it.

const figures = [];

function show() {
  showChoice(isOff(state.layer, state.head));
  const layer = layers[state.layer];
  byId("change").hidden = !layer.change || largest(ofHead(layer, "change")) === 0;
  for (const figure of figures) if (!byId(figure.name).hidden) showFigure(figure);
  showThumbnails("off", ", off", isOff);
  showOutcomes();
  showEditor();
  showChanges();
  showFacts();
  showHand();
  showLikeliest();
  writeAddress();
}

// What is read and answered, and what edits it.

/** The source and the answer, each token of which that is another than at first is marked; and, once
 * something is changed, what both were at first. */
function showOutcomes() {
  const isFocused = document.activeElement?.matches(".source button");
  const [answer, before] = [spelled(now), spelled(given)];
  const rows = [
    outcome("source", words.source ?? "source", edits.source.map(tokenButton)),
    outcome("answer", words.answer ?? "answer", compared(answer, before).map(tokenShown)),
  ];
  if (isEdited()) {
    const shown = (each) => each.map((token) => tokenShown(readable(token)));
    rows.push(outcome("first grey", "at first", [...shown(tokensOf("source", given)), " → ", ...shown(before)]));
  }
  byId("outcomes").replaceChildren(...rows);
  if (isFocused) document.querySelector(".source [aria-pressed=true]").focus();
}

function outcome(kind, name, cells) {
  const shown = cells.length ? cells : [element("span", { class: "grey" }, "nothing")];
  return element("tr", { class: kind }, element("th", { scope: "row" }, name), element("td", {}, ...shown));
}

function tokenShown(content) {
  return element("span", { class: "token" }, content);
}

/** A token of the source: a click, or Enter, goes to what chooses another. */
function tokenButton(token, place) {
  const isChosen = place === edits.token;
  const button = element("button", {
    type: "button",
    class: "token",
    "aria-pressed": String(isChosen),
    "aria-label": `token ${place + 1} “${readable(DATA.tokens[token])}”: choose another`,
    tabindex: isChosen ? 0 : -1,
    onclick: () => { chooseToken(place); byId("token").focus(); },
  }, readable(DATA.tokens[token]));
  onKey(button, ({ key }) => {
    const [, right] = ARROWS[key] ?? [];
    if (right) chooseToken(place + right);
    return Boolean(right);
  });
  return button;
}

function chooseToken(place) {
  edits.token = within(place, edits.source.length);
  show();
}

/** The tokens of an answer; its end is not one. */
function spelled({ asked }) {
  const isEnd = ({ best }) => DATA.form === "pairs" && best === DATA.eos;
  return asked.filter((each) => !isEnd(each)).map(({ best }) => DATA.choices[best]);
}

function isEdited() {
  return edits.off.size + edits.set.size > 0 || String(edits.source) !== String(DATA.source);
}

/** What changes the token to edit, and how long the answer took. */
function showEditor() {
  const { length } = edits.source;
  const isFixed = edits.token < DATA.framed || edits.token >= length - DATA.framed;
  byId("place").textContent = `token ${edits.token + 1}`;
  byId("token").value = edits.source[edits.token];
  byId("token").disabled = isFixed;
  byId("remove").disabled = isFixed || length === 1 + 2 * DATA.framed;
  byId("insert").disabled = length >= DATA.program.lengths.source;
  byId("reset").disabled = !isEdited();
  const passes = DATA.form === "pairs" ? `, the decoder ${now.passes === 1 ? "once" : `${now.passes} times`}` : "";
  byId("took").textContent = `live: computed here in ${milliseconds.toFixed(1)} ms${passes}`;
}

/** The heads that are off and the weights set by hand, each to be undone. */
function showChanges() {
  const undo = (place, text, act) => {
    const [layer, head] = place.split(":").map(Number);
    return element("button", { type: "button", title: "undo", onclick: act }, `${fullName(layers[layer], head)}: ${text} ×`);
  };
  const off = [...edits.off].map((place) =>
    undo(place, "off", () => edit({ off: new Set([...edits.off].filter((each) => each !== place)) })));
  const set = [...edits.set].map(([place, { column, weight }]) => {
    const [layer, , row] = place.split(":").map(Number);
    const { queries, keys, columns, mask } = layers[layer];
    const isThere = row < queries.length && column < keys.length && mask?.[row * columns + column] !== 0;
    const cell = isThere ? `${spoken(queries, row)} on ${spoken(keys, column)}` : "not there now";
    const without = () => edit({ set: new Map([...edits.set].filter(([each]) => each !== place)) });
    return undo(place, `${cell} = ${short(weight)}`, without);
  });
  refill(byId("changes"), ...off, ...set);
}

/** Other elements in a host; the focus stays on a button at its place, or goes to what edits a token. */
function refill(host, ...children) {
  const place = [...host.querySelectorAll("button")].indexOf(document.activeElement);
  host.replaceChildren(...children);
  if (place < 0) return;
  const buttons = host.querySelectorAll("button:enabled");
  (buttons[within(place, buttons.length)] ?? byId("token")).focus({ preventScroll: true });
}

// The chosen weight.

/** What sets the weight by hand. */
function showHand() {
  const layer = layers[state.layer];
  const weight = rowOf(ofHead(layer, "weights"), state.row, layer.columns)[state.column];
  const isSet = edits.set.has(`${state.layer}:${state.head}:${state.row}`);
  const obstacle = whyNot(layer);
  byId("weight").value = weight;
  byId("weight").disabled = Boolean(obstacle);
  byId("set").textContent = short(weight);
  byId("release").disabled = !isSet;
  const kept = isSet ? "the other weights of the row keep their proportions: it sums to one" : "";
  byId("how").textContent = obstacle || kept;
}

/** Why the chosen weight cannot be another, if so. */
function whyNot({ mask, columns }) {
  const open = mask ? [...rowOf(mask, state.row, columns)] : Array(columns).fill(1);
  if (isOff(state.layer, state.head)) return "this head is off";
  if (!open[state.column]) return "the mask hides this key";
  return open.filter(Boolean).length === 1 ? "this query may attend to nothing else" : "";
}

// What the model finds likely.

/** The likeliest at each place where the model is asked. What may come next in a text can be written. */
function showLikeliest() {
  const title = `Output of the model: softmax over ${words.over}`;
  const reads = DATA.form === "labels" ? null : tokensOf(DATA.form === "pairs" ? "target" : "source", now);
  const isChosen = (place) => layers[state.layer].written[state.row] && place === state.row;
  const lines = now.asked.map(({ place, probabilities }) => element(
    "tr", { class: isChosen(place) ? "chosen" : null },
    element("td", {}, reads ? spoken(reads, place) : ""),
    ...likeliest(probabilities).map((found) => element("td", {}, choice(...found)))));
  const heads = [reads ? "reads" : "", words.asked, "", "", "", ""].map((text) => element("th", {}, text));
  const head = element("thead", {}, element("tr", {}, ...heads));
  const table = element("table", {}, head, element("tbody", {}, ...lines));
  const none = element("p", { class: "grey" }, `Put ${DATA.tokens[DATA.gap]} in the place of a token to ask for it.`);
  const told = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table);
  const { scrollLeft = 0, scrollTop = 0 } = document.querySelector("#steps .scroll") ?? {};
  refill(byId("steps"), element("section", {}, element("h2", {}, title), lines.length ? told : none));
  Object.assign(told, { scrollLeft, scrollTop });
}

function choice(token, probability) {
  const text = [readable(DATA.choices[token]), " ", number(probability)];
  text[2].style.background = tint(probability, 1);
  if (DATA.form !== "text") return element("span", {}, ...text);
  const write = () => replaceTokens(edits.source.length, 0, [token]);
  const isFull = edits.source.length >= DATA.program.lengths.source;
  return element("button", { type: "button", title: "write it", disabled: isFull, onclick: write }, ...text);
}

/** The numbers of the five likeliest choices and their probabilities, the best first. */
function likeliest(probabilities) {
  const found = [];
  probabilities.forEach((p, token) => {
    if (found.length < 5 || p > found[4][1]) found.push([token, p]);
    found.sort((a, b) => b[1] - a[1]).splice(5);
  });
  return found;
}
