// Which parts of the query and of the key the chosen score is made of: the token, its position, each
// head before. A score is a sum over pairs of parts, which can be added up by hand.

const MOST_PARTS = 10; // rows or columns of the table: of more parts, the strongest are shown

/** The table of all pairs of parts of the chosen score, or of what it is above the mean score. */
function showParts() {
  const layer = layers[state.layer];
  const told = layers.filter(({ split }) => split?.length);
  const isTold = layer.split?.includes(state.head) ?? false;
  byId("why").hidden = !told.length || layer.v;
  byId("against").hidden = !isTold;
  byId("against").ariaPressed = state.against;
  if (!isTold) return tellWhereParts(told);
  byId("why-words").textContent = wordsOfParts(layer);
  const { queries, keys, pairs } = strongest(pairsOfParts(layer));
  const most = largest(pairs.flat());
  const lines = pairs.map((row, i) =>
    [queries[i], tinted(total(row), most), ...row.map((x) => tinted(x, most))]);
  const sums = keys.map((_, j) => total(pairs.map((row) => row[j])));
  const sum = total(sums);
  const score = rowOf(ofHead(layer, "scores"), state.row, layer.columns);
  const conclusion = state.against
    ? [number(sum), " = ", number(score[state.column]), ", the score, less ", number(mean(seenBy(layer).map((key) => score[key]))), ", the mean of the scores that the mask leaves"]
    : [number(sum), " = ", number(score[state.column]), ", the score"];
  byId("why-sums").replaceChildren(...steps(
    "",
    [["query ↓  key →", "sum", ...keys]],
    lines,
    ["sum", tinted(sum, most), ...sums.map((x) => tinted(x, most))],
    conclusion,
  ).childNodes);
}

/** Of a large model only some heads have a table: the way to them. */
function tellWhereParts(told) {
  const links = told.flatMap((layer) => layer.split.map((head) =>
    element("a", { href: `#${new URLSearchParams({ layer: layer.path, head: head + 1 })}` }, fullName(layer, head))));
  byId("why-words").textContent = "In so large a model this table takes much room, so only a few heads have one, those whose keys depend most on the query:";
  byId("why-sums").replaceChildren(element("ul", {}, ...links.map((link) => element("li", {}, link))));
}

function wordsOfParts(layer) {
  const parts = "What the layer reads is a sum: token, position, what each head and feed-forward layer before has added, and biases. So is the score, exactly, with the scale of each norm as it was.";
  const turned = layer.queryPartNames.includes("position") || layer.keyPartNames.includes("position");
  const place = turned ? "" : " Positions are no part here: they turn queries and keys, or there are none.";
  const against = " What is the same for all keys leaves the weights as they are: “against the other keys” takes it out.";
  return parts + place + against;
}

/** The keys that the chosen query may attend to: all, where the mask leaves none. */
function seenBy({ mask, columns }) {
  const places = Array.from({ length: columns }, (_, place) => place);
  const seen = places.filter((place) => mask[state.row * columns + place]);
  return seen.length ? seen : places;
}

/** The product of each part of the chosen query with each part of the chosen key, / √K; or with each
 * part of that key less its mean over the keys that the mask leaves. */
function pairsOfParts(layer) {
  const width = layer.query.length / layer.heads / layer.rows;
  const seen = seenBy(layer);
  const part = (name, count, at) => {
    const size = layer[name].length / count;
    const heads = layer.split.length;
    return rowOf(rowOf(layer[name], at, size), layer.split.indexOf(state.head), size / heads);
  };
  const queries = layer.queryPartNames.map((_, at) =>
    rowOf(part("queryParts", layer.queryPartNames.length, at), state.row, width));
  const keys = layer.keyPartNames.map((_, at) => {
    const all = part("keyParts", layer.keyPartNames.length, at);
    const key = Array.from(rowOf(all, state.column, width));
    return state.against ? key.map((x, i) => x - mean(seen.map((place) => all[place * width + i]))) : key;
  });
  const product = (query, key) => key.reduce((sum, x, i) => sum + x * query[i], 0) / Math.sqrt(width);
  return {
    queries: layer.queryPartNames,
    keys: layer.keyPartNames,
    pairs: queries.map((query) => keys.map((key) => product(query, key))),
  };
}

/** The same with few rows and columns: those of which little comes are added up in one. */
function strongest({ queries, keys, pairs }) {
  const [rows, fewer] = fewerRows(queries, pairs);
  const [columns, turned] = fewerRows(keys, transposed(fewer));
  return { queries: rows, keys: columns, pairs: transposed(turned) };
}

function fewerRows(names, rows) {
  if (names.length <= MOST_PARTS) return [names, rows];
  const size = (at) => total(rows[at].map(Math.abs));
  const order = names.map((_, at) => at).sort((a, b) => size(b) - size(a)).slice(0, MOST_PARTS - 1);
  const [shown, others] = [true, false].map((wanted) =>
    names.map((_, at) => at).filter((at) => order.includes(at) === wanted));
  const rest = rows[0].map((_, column) => total(others.map((at) => rows[at][column])));
  return [[...shown.map((at) => names[at]), `the ${others.length} others`], [...shown.map((at) => rows[at]), rest]];
}

function transposed(rows) {
  return rows[0].map((_, column) => rows.map((row) => row[column]));
}

function mean(values) {
  return total(values) / values.length;
}
