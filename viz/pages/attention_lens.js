// What each layer would say if the model ended there; and, backward, what the loss tells it to say.

const LENS_ARRAYS = ["guesses", "probabilities", "right", "raised", "rises", "lowered", "falls"];
const LENS_WORDS = {
  forward: {
    title: "Lens: what each layer would say",
    words: "What a layer leaves at each place, put through the model's last norm and projection as if there were no layer after it: the likeliest token, the stronger its colour the likelier. The last row is the model's own. Underlined is what is asked for. Layers are not trained to be read out before the last: what the first ones seem to say means little.",
  },
  backward: {
    title: "Lens: what the loss tells each layer to say more of",
    words: "Were what a layer leaves at a place moved a little against the gradient of the loss, its guess (forward) would change: here is the token whose logit would rise most, its colour the stronger the more (of its row). That is asked of it for all places that look there, not for its own alone. It is no knowledge: the answer comes with the loss, and in an untrained model too it stands here. A dot is where nothing that is asked for depends on it.",
  },
};
const lensAt = { layer: 0, place: 0 }; // the cell whose numbers are told

let lensShown = ""; // what the table shows, which may be thousands of cells

async function unpackLens() {
  lens.rows = lens.names.length;
  lens.columns = lens.reads.length;
  for (const name of LENS_ARRAYS) lens[name] = await unpacked(lens[name]);
  lensAt.layer = lens.rows - 1;
  lensAt.place = lens.places.at(layers[opens[0]].asking === "text" ? -1 : 0);
}

/** The table of all layers and places, and the numbers of one of them. */
function showLens() {
  byId("lens").hidden = !lens;
  if (!lens) return;
  const shown = `${state.backward} ${lensAt.layer} ${lensAt.place}`;
  if (shown === lensShown) return;
  const isFirst = !lensShown; // it begins at the last layer, which is the model's own
  lensShown = shown;
  const about = LENS_WORDS[state.backward ? "backward" : "forward"];
  byId("lens-title").textContent = about.title;
  byId("lens-words").textContent = about.words;
  byId("forward").ariaPressed = !state.backward;
  byId("backward").ariaPressed = state.backward;
  const region = byId("lens-cells");
  const { scrollLeft, scrollTop } = region;
  region.replaceChildren(element("table", {},
    element("thead", {}, headOfLens("reads", lens.reads), headOfLens(words.right, lens.reads.map((_, place) => askedAt(place) ?? ""))),
    element("tbody", {}, ...lens.names.map((name, layer) =>
      element("tr", {}, element("th", { scope: "row" }, name), ...lens.reads.map((_, place) => lensCell(layer, place))))),
  ));
  Object.assign(region, isFirst ? { scrollTop: region.scrollHeight, scrollLeft: lensAt.place ? region.scrollWidth : 0 } : { scrollLeft, scrollTop });
  tellLens(lensAt);
}

function headOfLens(name, tokens) {
  const cells = tokens.map((token, place) => element("th", { title: token && spoken(tokens, place) }, element("span", {}, token && readable(token))));
  return element("tr", {}, element("th", {}, name), ...cells);
}

/** What is asked for at a place, if anything is. */
function askedAt(place) {
  return target[lens.places.indexOf(place)];
}

/** The tokens at a cell, with how likely they are, or how far they move. */
function tokensAt(names, sizes, { layer, place }) {
  const count = lens[names].length / lens.rows / lens.columns;
  const at = layer * lens.columns + place;
  const tokens = rowOf(lens[names], at, count);
  return Array.from(rowOf(lens[sizes], at, count), (size, i) => [lens.tokens[tokens[i]], size]);
}

function lensCell(layer, place) {
  const at = { layer, place };
  const [token, size] = tokensAt(...(state.backward ? ["raised", "rises"] : ["guesses", "probabilities"]), at)[0];
  const most = state.backward ? largestRise(layer) : 1;
  const isNone = state.backward && size === 0;
  const chosen = layer === lensAt.layer && place === lensAt.place;
  const tell = () => tellLens(at);
  const button = element("button", {
    type: "button",
    class: !isNone && token === askedAt(place) ? "right" : null,
    style: `background: ${tint(size, most)}`,
    "aria-pressed": String(chosen),
    "aria-label": `${lens.names[layer]}, ${spoken(lens.reads, place)}: ${isNone ? "nothing" : readable(token)}`,
    tabindex: chosen ? 0 : -1,
    onclick: () => chooseLens(at),
    onpointerenter: tell,
    onpointerleave: () => tellLens(lensAt),
  }, isNone ? "·" : readable(token));
  onKey(button, ({ key }) => {
    if (!(key in ARROWS)) return false;
    const [down, right] = ARROWS[key];
    chooseLens({ layer: within(layer + down, lens.rows), place: within(place + right, lens.columns) });
    return true;
  });
  return element("td", {}, button);
}

/** The largest rise after a layer: gradients of different layers have different sizes. */
function largestRise(layer) {
  const size = lens.rises.length / lens.rows;
  return largest(rowOf(lens.rises, layer, size));
}

/** Choose the cell whose numbers are told while the pointer is at none. */
function chooseLens(at) {
  Object.assign(lensAt, at);
  showLens();
  byId("lens-cells").querySelector("[tabindex='0']").focus();
}

/** All tokens of a cell, with their numbers. */
function tellLens(at) {
  const told = (names, sizes, most) => tokensAt(names, sizes, at).flatMap(([token, size], i, all) =>
    [element("span", {}, readable(token), " ", tinted(size, most), i + 1 < all.length ? " ·" : ""), " "]);
  const place = lens.places.indexOf(at.place);
  const facts = { where: [`after ${lens.names[at.layer]}, at ${spoken(lens.reads, at.place)}`] };
  if (state.backward) {
    const most = largestRise(at.layer);
    facts["a step would raise"] = told("raised", "rises", most);
    facts["and lower"] = told("lowered", "falls", most);
  } else {
    facts.likeliest = told("guesses", "probabilities", 1);
    if (place >= 0) {
      const right = lens.right[at.layer * lens.places.length + place];
      facts[words.right] = [readable(target[place]), " ", tinted(right, 1)];
    }
  }
  byId("lens-told").replaceChildren(...Object.entries(facts).map(([name, content]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, ...content))));
}
