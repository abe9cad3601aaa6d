// The page of attention: `state` says what the reader looks at, and `show` makes the page say so.
// attention_chosen.js tells of the chosen head and attention_figures.js draws it, attention_sums.js shows how
// one weight came about, and attention_parts.js which parts of query and key its score is made of;
// attention_lens.js shows what each layer would say.

const { layers, normal, source, target, words, opens, lens } = DATA;
const ARRAYS = ["weights", "scores", "mask", "gradient", "query", "key", "v", "value", "part", "lengths", "queryParts", "keyParts"];
const canBeOff = Boolean(layers[0].without?.length); // of a large model nobody has tried
const state = { layer: 0, head: 0, row: 0, column: 0, lines: false, off: false, against: false, backward: false };
const figures = [];

/** Unpacks the arrays, builds what never changes, and shows what the address asks for. */
async function start() {
  await unpackLayers(layers, ARRAYS);
  if (lens) await unpackLens();
  buildChoice();
  byId("heads").append(element("p", { id: "opens", class: "grey" }, reasonToOpen()));
  figures.push(buildFigure("weights", "weight"));
  if (layers[0].gradient) figures.push(buildFigure("gradient", "∂loss/∂weight"));
  byId("legend").hidden = !layers[0].gradient;
  byId("off").onclick = () => choose({ off: !state.off });
  byId("against").onclick = () => choose({ against: !state.against });
  byId("forward").onclick = () => choose({ backward: false });
  byId("backward").onclick = () => choose({ backward: true });
  byId("off").hidden = byId("changes").hidden = !canBeOff;
  addEventListener("hashchange", () => choose(asked()));
  paintHeads();
  choose(asked());
}

/** What the address asks for. */
function asked() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  return {
    ...placeAsked(fragment),
    off: fragment.has("off") && canBeOff,
    against: fragment.has("against"),
    backward: fragment.has("backward"),
  };
}

function show() {
  showChoice(state.off);
  figures.forEach(showFigure);
  showThumbnails("changed", "; without it the answer is another", (layer, head) =>
    state.off && !sameTokens(layers[layer].without[head].answer, normal.answer));
  showOutcomes();
  showFacts();
  showParts();
  showSteps();
  showLens();
  remember(addressOf(["lines", "off", "against", "backward"]));
}

/** Why the page opens on the head on which it does. */
function reasonToOpen() {
  const [layer, head] = opens;
  const name = fullName(layers[layer], head);
  if (!canBeOff) {
    const count = layers.reduce((sum, { heads }) => sum + heads, 0);
    const untold = normal ? ` What becomes of the answer without a head is left out: to find out, this large model would have to run ${count} times more.` : "";
    return `Opens on the head whose keys depend most on the query: ${name}.${untold}`;
  }
  const { loss } = layers[layer].without[head];
  const [without, instead] = [loss, normal.loss].map(short);
  return `Opens on the head that is needed most: ${name}. Without it the loss is ${without} instead of ${instead}.`;
}

// What the model answers, with all heads and without one.

function showOutcomes() {
  if (!normal) return;
  const table = byId("outcomes");
  table.replaceChildren(
    outcome(words.source ?? "source", source.map(readable)),
    outcome(words.target ?? "target", target.map(readable)),
    outcome(words.answer ?? "answer", normal.answer.map(readable), normal.loss),
  );
  if (!state.off) return;
  const without = layers[state.layer].without[state.head];
  table.append(outcome("without this head", compared(without.answer, normal.answer), without.loss));
}

/** A row of the table: what it is, tokens, and the loss if there is one. */
function outcome(what, words, loss) {
  const tokens = words.map((word) => element("span", { class: "token" }, word));
  return element(
    "tr", {},
    element("th", { scope: "row" }, what),
    element("td", {}, ...(tokens.length ? tokens : [element("span", { class: "grey" }, "nothing")])),
    element("td", {}, ...(loss === undefined ? [] : ["loss ", number(loss)])),
  );
}

function sameTokens(some, others) {
  return some.length === others.length && some.every((token, place) => token === others[place]);
}
