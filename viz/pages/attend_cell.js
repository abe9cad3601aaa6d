// How one number came about: the products that are summed, the exponentials, the shares.

/** Show how the number of a matrix at this row and column came about. */
function showCell(matrix, row, column) {
  if (!matrix) {
    byId("cell").replaceChildren();
    return;
  }
  const value = matrix.values[row][column];
  byId("cell").replaceChildren(
    element("h2", {}, ...indexed(nameOf(matrix, row, column))),
    element("p", { class: "value number", title: String(value) }, String(value).replaceAll("-", "−").replace("Infinity", "∞")),
    ...WAYS[matrix.how](matrix, row, column, value),
  );
}

/** What a number is called: its matrix, and what stands at its sides. */
function nameOf({ title, rows, columns, numbered }, row, column) {
  const side = (isNumber, name) => (isNumber ? `number ${name}` : name);
  if (numbered[0]) return `${title}: row ${rows[row]}, number ${columns[column]}`;
  return `${title}: ${rows[row]}, ${side(numbered[1], columns[column])}`;
}

const rowOf = (matrix, row) => matrix.values[row];
const columnOf = (matrix, column) => matrix.values.map((row) => row[column]);

const WAYS = {
  given: (matrix) => [tell(matrix.name.startsWith("W_") ? "One of the numbers that training changes." : "It is given: what follows is made of it.")],
  dots(matrix, row, column, value) {
    const [a, b] = matrix.of.map((key) => matrices.get(key));
    return products(
      [[`${a.name} of ${a.rows[row]}`, rowOf(a, row)], [`${b.name} of ${b.rows[column]}`, rowOf(b, column)]],
      a.columns, a.size[1], value);
  },
  product(matrix, row, column, value) {
    const [a, b] = matrix.of.map((key) => matrices.get(key));
    const second = b.numbered[0] ? `${b.name}, column ${column + 1}` : `number ${column + 1} of ${b.name}`;
    return products(
      [[`${a.name} of ${a.rows[row]}`, rowOf(a, row)], [second, columnOf(b, column)]],
      a.columns, a.size[1], value, matrix.bias?.[column]);
  },
  turned(matrix, row, column, value) {
    const x = matrices.get(matrix.of[0]).values[row][column];
    const [cos, partner, sin] = matrix.by.map((part) => part[row][column]);
    const half = matrix.size[1] / 2;
    const other = column < half ? column + 1 + half : column + 1 - half;
    return [
      tell(row
        ? `Numbers ${column + 1} and ${other} turn together, ${row} × as far as those of the second word.`
        : "At the first place nothing turns yet."),
      table(["", "before", "times", "product"], [
        [`number ${column + 1}`, cell(x), cell(cos), cell(x * cos)],
        [`number ${other}`, cell(partner), cell(sin), cell(partner * sin)],
      ], ["sum", "", "", cell(value)]),
    ];
  },
  scaled(matrix, row, column, value) {
    const x = matrices.get(matrix.of[0]).values[row][column];
    return [equation(cell(x), " / ", cell(matrix.by), " = ", cell(value))];
  },
  masked(matrix, row, column, value) {
    const [asking, asked] = [matrix.rows[row], matrix.columns[column]];
    if (Number.isFinite(value)) return [tell(`${asking} may look at ${asked}: the score stays as it is.`)];
    return [tell(`${asking} may not look at ${asked}, which comes later: −∞, of which exp makes 0.`)];
  },
  powers(matrix, row, column, value) {
    const scores = matrices.get(matrix.of[0]);
    const top = Number(matrix.by[row]);
    if (column < scores.columns.length) {
      const taken = top ? [" − ", cell(top)] : [];
      return [equation("exp(", cell(scores.values[row][column]), ...taken, ") = ", cell(value))];
    }
    const lines = scores.columns.map((name, j) => [name, cell(matrix.values[row][j])]);
    return [table(["exp of the score with", ""], lines, ["sum", cell(value)])];
  },
  shares(matrix, row, column, value) {
    const powers = matrices.get(matrix.of[0]).values[row];
    const lines = matrix.columns.map((name, j) => [name, cell(powers[j]), cell(matrix.values[row][j])]);
    return [
      equation(cell(powers[column]), " / ", cell(powers.at(-1)), " = ", cell(value)),
      table(["", "exp", "weight"], lines, ["sum", cell(powers.at(-1)), cell(total(matrix.values[row]))], column),
    ];
  },
  joined(matrix, row, column) {
    const width = matrix.size[1] / matrix.by;
    return [tell(`Copied: number ${(column % width) + 1} of what head ${Math.floor(column / width) + 1} has found for ${matrix.rows[row]}.`)];
  },
  same(matrix, row, column, value) {
    const alone = matrix.by[row][column];
    return [table(["reckoned", ""], [
      ["as one matrix equation", cell(value)],
      ["word by word", cell(alone)],
    ], ["difference", cell(value - alone)])];
  },
  cosine(matrix, row, column, value) {
    const [product, first, second] = matrix.by[row][column];
    return [
      tell("The product of the two vectors, divided by both lengths: 1 where they point the same way, 0 where they have nothing in common."),
      equation(cell(product), " / (", cell(first), " × ", cell(second), ") = ", cell(value)),
    ];
  },
};

/** Two vectors number by number: their products, what is not shown of them, a bias, and the sum. */
function products([[first, a], [second, b]], names, count, value, bias) {
  const lines = a.map((x, k) => [names[k], cell(x), cell(b[k]), cell(x * b[k])]);
  const seen = total(a.map((x, k) => x * b[k])) + (bias ?? 0);
  if (count > a.length) lines.push([`the other ${count - a.length}`, "", "", cell(value - seen)]);
  if (bias !== undefined) lines.push(["bias", "", "", cell(bias)]);
  return [table(["", first, second, "product"], lines, ["sum", "", "", cell(value)])];
}

function total(values) {
  return values.reduce((sum, x) => sum + x, 0);
}

/** A number in four digits, which tells all of them where it is pointed at. */
function cell(x) {
  return element("span", { class: "number", title: String(x) }, short(x));
}

function tell(sentence) {
  return element("p", {}, sentence);
}

function equation(...parts) {
  return element("p", { class: "equation number" }, ...parts);
}

/** A table whose last line is made of the others; one line of it may be the chosen one. */
function table(heads, lines, sums, chosen) {
  const told = (content) => (typeof content === "string" ? indexed(content) : [content]);
  const cells = (tag, list) => list.map((content) => element(tag, {}, ...told(content)));
  return element("div", { class: "scroll" }, element(
    "table", { class: "sum" },
    element("thead", {}, element("tr", {}, ...cells("th", heads))),
    element("tbody", {}, ...lines.map((line, place) =>
      element("tr", { class: place === chosen ? "chosen" : null }, ...cells("td", line)))),
    element("tfoot", {}, element("tr", {}, ...cells("td", sums))),
  ));
}
