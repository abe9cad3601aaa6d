// How the chosen weight came about, and what came of it: sums that can be added up by hand.

const MOST_PRODUCTS = 4000; // of weights and values in one table: of more keys, the heaviest are shown

let answers = null; // the table of the model's probabilities, which is the same whatever is chosen

function showSteps() {
  byId("steps").replaceChildren(...stepsOf(layers[state.layer]));
  for (const row of document.querySelectorAll("#steps .chosen")) {
    const region = row.closest(".scroll");
    region.scrollTop = row.offsetTop - region.clientHeight / 2;
  }
}

/** What is known of the way from query and key to the output. The one head of additive attention
 * passes its result on as it is. */
function stepsOf(layer) {
  if (!layer.scores) return [softmaxSteps(layer)];
  const output = layer.v ? [] : [partOfOutput(layer)];
  return [scoreSteps(layer), softmaxSteps(layer), resultSteps(layer), ...output, answerSteps(layer)];
}

/** How the score came from query and key: as their product; or, by additive attention, as that of
 * `v` and the tanh of their sum. */
function scoreSteps(layer) {
  const width = layer.query.length / layer.heads / layer.rows;
  const score = rowOf(ofHead(layer, "scores"), state.row, layer.columns)[state.column];
  const query = rowOf(ofHead(layer, "query"), state.row, width);
  const key = rowOf(ofHead(layer, "key"), state.column, width);
  const vectors = { query, key };
  if (layer.v) {
    vectors["tanh(query + key)"] = Array.from(query, (x, i) => Math.tanh(x + key[i]));
    vectors.v = layer.v;
  }
  const [left, right] = Object.keys(vectors).slice(-2);
  const products = Array.from(vectors[left], (x, i) => x * vectors[right][i]);
  const columns = [...Object.values(vectors), products];
  const mosts = columns.map(largest);
  const lines = products.map((_, i) => [i + 1, ...columns.map((column, k) => tinted(column[i], mosts[k]))]);
  const sum = total(products);
  return steps(
    "Score: how well query and key agree",
    [["", ...Object.keys(vectors), `${left} × ${right}`]],
    lines,
    ["sum", ...columns.slice(1).map(() => ""), number(sum)],
    [number(sum), layer.v ? " = " : ` / √${width} = `, number(score), ", the score"],
  );
}

/** How the weights of the query's row came from its scores. */
function softmaxSteps(layer) {
  const weights = rowOf(ofHead(layer, "weights"), state.row, layer.columns);
  const sum = total(weights);
  const named = (place) => spoken(layer.keys, place);
  const weight = (place) => tinted(weights[place], 1);
  const chosen = (place) => (place === state.column ? "chosen" : null);
  const title = "Softmax: the query's weights on all keys";
  if (!layer.scores) {
    const lines = Array.from(weights, (_, place) => [named(place), weight(place)]);
    return steps(title, [["key", "weight"]], lines, ["sum", number(sum)], [], chosen);
  }
  const scores = rowOf(ofHead(layer, "scores"), state.row, layer.columns);
  const mask = rowOf(layer.mask, state.row, layer.columns);
  const top = Math.max(...scores.filter((_, place) => mask[place]));
  // The same whatever is taken out, and no power overflows, nor do all vanish.
  const out = Number.isFinite(top) && Math.abs(top) > 60 ? top : 0;
  const exponent = out ? `(score ${out > 0 ? "−" : "+"} ${short(Math.abs(out))})` : "score";
  const powers = Array.from(scores, (score, place) => (mask[place] ? Math.exp(score - out) : 0));
  const all = total(powers);
  const lines = powers.map((power, place) =>
    [named(place), number(scores[place]), mask[place] ? "✓" : "hidden", number(power), weight(place)]);
  const [power, told] = [powers, weights].map((row) => row[state.column]);
  return steps(
    title,
    [["key", "score", "mask", `e^${exponent}`, "weight"]],
    lines,
    ["sum", "", "", number(all), number(sum)],
    all ? [number(power), " / ", number(all), " = ", number(told), ", the weight"] : [],
    chosen,
  );
}

/** How the head's result came from the values: their sum, each times its weight. Of very many keys,
 * those with little weight are one line. */
function resultSteps(layer) {
  const { columns } = layer;
  const width = widthOfValues(layer);
  const weights = rowOf(ofHead(layer, "weights"), state.row, columns);
  const values = ofHead(layer, "value");
  const sumOf = (places) => Array.from({ length: width }, (_, i) =>
    places.reduce((sum, place) => sum + weights[place] * values[place * width + i], 0));
  const places = Array.from(weights, (_, place) => place);
  const count = Math.max(8, Math.floor(MOST_PRODUCTS / width));
  const heaviest = [...places].sort((a, b) => weights[b] - weights[a]).slice(0, count);
  const shown = places.filter((place) => place === state.column || heaviest.includes(place));
  const others = places.filter((place) => !shown.includes(place));
  const products = shown.map((place) => sumOf([place]));
  const most = largest(products.flat());
  const value = rowOf(values, state.column, width);
  const lines = products.map((line, i) =>
    [spoken(layer.keys, shown[i]), number(weights[shown[i]]), ...line.map((x) => tinted(x, most))]);
  if (others.length) {
    const weight = others.reduce((sum, place) => sum + weights[place], 0);
    lines.push([`the ${others.length} other keys`, number(weight), ...sumOf(others).map(number)]);
  }
  return steps(
    "Result: the sum of all values, each times its weight",
    [
      ["key", "weight", ...Array.from(value, (_, i) => i + 1)],
      [`value of ${spoken(layer.keys, state.column)}`, "", ...Array.from(value, number)],
    ],
    lines,
    ["sum: the head's result", number(total(weights)), ...sumOf(places).map(number)],
    [],
    (line) => (shown[line] === state.column ? "chosen" : null),
  );
}

/** How many numbers a value has, and so a head's result. */
function widthOfValues(layer) {
  return layer.value.length / layer.heads / layer.columns;
}

/** What the head adds to the output of its layer. */
function partOfOutput(layer) {
  const lengthOf = (_, head) => ofHead(layer, "lengths", head)[state.row];
  const lengths = Array.from({ length: layer.heads }, lengthOf).flatMap((length, head) => [head ? " · " : "", number(length)]);
  const told = element("p", {}, "The parts of all heads and a bias are the layer's output. Their lengths: ", ...lengths);
  if (!layer.part) return element("section", {}, element("h2", {}, "Output: the result times W_O"), told);
  const size = layer.part.length / layer.heads / layer.rows;
  const part = rowOf(ofHead(layer, "part"), state.row, size);
  const most = largest(part);
  return element(
    "section", {},
    element("h2", {}, `Output: the result times W_O, ${widthOfValues(layer)} → ${size} numbers`),
    element("div", { class: "numbers" }, ...Array.from(part, (x) => tinted(x, most))),
    told,
  );
}

/** The model's probabilities at each place of its output: of what is right there, and the largest. */
function answerSteps(layer) {
  answers ??= buildAnswers(DATA);
  answers.querySelectorAll("tbody tr").forEach((row, step) =>
    row.classList.toggle("chosen", layer.written.length > 0 && DATA.likeliest[step].place === state.row));
  return answers;
}

function buildAnswers({ words, target, likeliest }) {
  const reads = likeliest[0].read !== undefined; // a label is no place's
  const count = Math.max(...likeliest.map(({ top }) => top.length));
  const choice = (token, probability, right) => element(
    "span", { class: token === right ? "right" : null },
    readable(token), " ", tinted(probability, 1));
  const heads = [...(reads ? ["reads"] : []), words.right, "its probability", "likeliest"];
  return steps(
    `Output of the model: softmax over ${words.over}`,
    [[...heads, ...Array(count - 1).fill("")]],
    likeliest.map(({ place, read, right, top }, step) => [
      ...(reads ? [`${place + 1} “${readable(read)}”`] : []), readable(target[step]), tinted(right, 1),
      ...top.map(([token, probability]) => choice(token, probability, target[step])),
    ]),
    [],
    [],
  );
}

function total(values) {
  return values.reduce((a, b) => a + b, 0);
}

/** A table whose columns can be added up by hand, and what is made of the sums. */
function steps(title, heads, lines, sums, conclusion, kind = () => null) {
  const cells = (tag, list) => list.map((content) => element(tag, {}, content));
  return element(
    "section", {},
    element("h2", {}, title),
    element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, element(
      "table", {},
      element("thead", {}, ...heads.map((head) => element("tr", {}, ...cells("th", head)))),
      element("tbody", {}, ...lines.map((line, place) => element("tr", { class: kind(place) }, ...cells("td", line)))),
      element("tfoot", {}, element("tr", {}, ...cells("td", sums))),
    )),
    element("p", {}, ...conclusion),
  );
}

/** A number on the tint of its size. */
function tinted(x, most) {
  const cell = number(x);
  cell.style.background = tint(x, most);
  return cell;
}
