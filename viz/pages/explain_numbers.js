// Arrays, as numbers and as what they are like.

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
    const end = start + size;
    for (let i = start; i < end; i += columns) rows.push(values.slice(i, Math.min(i + columns, end)));
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
  const slice = (shown, all) => (shown < all ? `:${shown}` : ":");
  const part = [slice(corner.length, rows), slice(corner[0].length, columns)];
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
  const named = { role: "img", "aria-label": "histogram" };
  const picture = svg("svg", { class: "bars", viewBox, preserveAspectRatio: "none", ...named });
  for (const [i, count] of bins.entries()) {
    const tall = count ? Math.max(1, (height * count) / most) : 0;
    const tip = svg("title", {}, `${short(edge(i))} to ${short(edge(i + 1))}: ${count.toLocaleString("en")}`);
    const sign = edge(i) + edge(i + 1) < 0 ? "below" : "above";
    const place = { x: i * wide + 0.5, y: height - tall, width: wide - 1, height: tall };
    picture.append(svg("rect", { class: sign, ...place }, tip));
  }
  picture.append(svg("line", { x1: 0, x2: width, y1: height, y2: height }));
  return picture;
}
