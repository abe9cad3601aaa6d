// The model in the page: the ops that a forward pass has recorded (minitransformer/inside/program.py),
// one function each, and `run`, which goes through its steps. A tensor is {shape, data} in C order.
// All is computed in float64: what differs from NumPy is what that rounds in float32.

/** What an op makes of its params and its inputs: tensors, numbers, or null. One that attends also
 * takes what may `change` its weights, and hands out scores, weights and mask. */
const OPS = {
  embedding(_, weight, indices) {
    const width = weight.shape[1];
    const y = tensor([...indices.shape, width]);
    indices.data.forEach((token, place) =>
      y.data.set(weight.data.subarray(token * width, (token + 1) * width), place * width));
    return y;
  },
  linear(_, x, weight, bias) {
    const [outs, ins] = weight.shape;
    const y = tensor([...x.shape.slice(0, -1), outs]);
    const rows = y.data.length / outs;
    for (let row = 0; row < rows; row++) if (bias) y.data.set(bias.data, row * outs);
    let out = 0;
    for (; out + 3 < outs; out += 4) {
      let row = 0;
      for (; row + 1 < rows; row += 2) addEightDots(y.data, row * outs + out, outs, x.data, row * ins, weight.data, out * ins, ins);
      if (row < rows) addDots(y.data, row * outs + out, 4, x.data, row * ins, weight.data, out * ins, ins);
    }
    for (let row = 0; row < rows; row++) addDots(y.data, row * outs + out, outs - out, x.data, row * ins, weight.data, out * ins, ins);
    return y;
  },
  scaled_dot_product_attention({ mask }, query, key, value, change) {
    const [heads, rows, width] = query.shape.slice(-3);
    const [groups, columns] = key.shape.slice(-3); // heads of keys and values, which may be fewer
    const wide = value.shape.at(-1);
    const scores = tensor([1, heads, rows, columns]);
    const open = mask && fitted(mask, scores.shape);
    const forEachCell = (act) => {
      for (let row = 0, at = 0; row < heads * rows; row++) {
        const first = Math.floor((Math.floor(row / rows) * groups) / heads) * columns;
        for (let column = 0; column < columns; column++) act(at++, row, first + column);
      }
    };
    forEachCell((at, row, column) =>
      (scores.data[at] = dot(query.data, row * width, key.data, column * width, width) / Math.sqrt(width)));
    const weights = byRows(scores, (row, to, number) => softmax(row, open?.subarray(number * columns), to));
    const y = tensor([1, heads, rows, wide]);
    change?.(weights, open);
    forEachCell((at, row, column) => {
      for (let i = 0; i < wide; i++) y.data[row * wide + i] += weights.data[at] * value.data[column * wide + i];
    });
    return { ...y, scores: scores.data, weights: weights.data, open };
  },
  layer_norm({ eps }, x, weight, bias) {
    const centred = byRows(x, (row, to) => {
      const mean = total(row) / row.length;
      for (let i = 0; i < row.length; i++) to[i] = row[i] - mean;
    });
    const y = OPS.rms_norm({ eps }, centred, weight);
    return bias ? OPS.add({}, y, bias) : y;
  },
  rms_norm({ eps }, x, weight) {
    const y = byRows(x, (row, to) => {
      const size = Math.sqrt(dot(row, 0, row, 0, row.length) / row.length + eps);
      for (let i = 0; i < row.length; i++) to[i] = row[i] / size;
    });
    return weight ? OPS.multiply({}, y, weight) : y;
  },
  rotary({ start, base }, x) {
    const [length, width] = x.shape.slice(-2);
    return byRows(x, (row, to, number) => row.forEach((each, i) => {
      const isFirst = i < width / 2;
      const angle = (start + (number % length)) * base ** ((-2 * (i % (width / 2))) / width);
      const other = row[(i + width / 2) % width];
      to[i] = each * Math.cos(angle) + (isFirst ? -other : other) * Math.sin(angle);
    }));
  },
  add: (_, ...inputs) => elementwise(plus, inputs),
  multiply: (_, ...inputs) => elementwise((a, b) => a * b, inputs),
  divide: (_, ...inputs) => elementwise((a, b) => a / b, inputs),
  where: (_, ...inputs) => elementwise((condition, a, b) => (condition ? a : b), inputs),
  relu: (_, x) => elementwise((a) => Math.max(0, a), [x]),
  silu: (_, x) => elementwise((a) => a / (1 + Math.exp(-a)), [x]),
  gelu({ approximate }, x) {
    const scale = Math.sqrt(2 / Math.PI);
    const byTanh = (a) => 0.5 * a * (1 + Math.tanh(scale * (a + 0.044715 * a ** 3)));
    return elementwise(approximate === "tanh" ? byTanh : (a) => a * normalShare(a), [x]);
  },
  reshape: ({ shape }, { data }) => ({ shape, data }),
  swapaxes({ axis1, axis2 }, x) {
    const [one, other] = [axis1, axis2].sort();
    const shape = [...x.shape];
    [shape[one], shape[other]] = [shape[other], shape[one]];
    const strides = stridesOf(x.shape);
    [strides[one], strides[other]] = [strides[other], strides[one]];
    return { shape, data: picked(x.data, shape, strides) };
  },
  sum({ axis }, x) {
    const shape = x.shape.filter((_, place) => place !== axis);
    const y = tensor(shape);
    const inner = sizeOf(x.shape.slice(axis + 1));
    const outer = inner * x.shape[axis];
    x.data.forEach((each, at) => (y.data[Math.floor(at / outer) * inner + (at % inner)] += each));
    return y;
  },
};

/** The model of a page: its steps, its arrays as tensors, and which inputs each step depends on. */
function loadModel({ steps, shapes }, weights) {
  let end = 0;
  const wide = Float64Array.from(weights); // of two kinds of arrays, loops would be a third as fast
  const arrays = shapes.map((shape) => ({ shape, data: wide.subarray(end, (end += sizeOf(shape))) }));
  const needs = [];
  for (const { inputs, params } of steps) needs.push(inputsOf([...inputs, ...Object.values(params)], needs));
  return { steps, arrays, needs };
}

/** The names of the model's inputs on which the value of an op's input or param depends. */
function inputsOf(x, needs) {
  if (Array.isArray(x)) return [...new Set(x.flatMap((each) => inputsOf(each, needs)))];
  if (x === null || typeof x !== "object") return [];
  return "step" in x ? needs[x.step] : [x.input, x.length, ...(x.axes ?? [])].filter(Boolean);
}

/** The results of all steps that these inputs (token numbers, by name) allow; those that are in
 * `values` already stay. `change(path, weights, open)` may alter the weights where a step attends. */
function run(model, inputs, change, values = []) {
  const valueOf = (x) => {
    if (Array.isArray(x)) return x.map(valueOf);
    if (x === null || typeof x !== "object") return x;
    if ("step" in x) return values[x.step];
    if ("length" in x) return inputs[x.length].length;
    if ("input" in x) return { shape: [1, inputs[x.input].length], data: inputs[x.input] };
    const array = model.arrays[x.array];
    const shape = array.shape.map((size, axis) => inputs[x.axes?.[axis]]?.length ?? size);
    return x.axes ? { shape, data: fitted(array, shape) } : array;
  };
  model.steps.forEach(({ op, path, inputs: given, params }, number) => {
    if (values[number] || !model.needs[number].every((side) => side in inputs)) return;
    const named = Object.fromEntries(Object.entries(params).map(([name, x]) => [name, valueOf(x)]));
    const changed = path ? [(weights, open) => change?.(path, weights, open)] : [];
    values[number] = OPS[op](named, ...given.map(valueOf), ...changed);
  });
  return values;
}

// What the ops are made of.

function tensor(shape) {
  return { shape, data: new Float64Array(sizeOf(shape)) };
}

function sizeOf(shape) {
  return shape.reduce((size, axis) => size * axis, 1);
}

/** How far apart in memory neighbours along each axis are. */
function stridesOf(shape) {
  return shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
}

/** An array of this shape whose elements are so far apart in `data`. */
function picked(data, shape, strides) {
  const found = new Float64Array(sizeOf(shape));
  const place = shape.map(() => 0);
  for (let i = 0, at = 0; i < found.length; i++) {
    found[i] = data[at];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis];
      if (++place[axis] < shape[axis]) break;
      at -= strides[axis] * shape[axis];
      place[axis] = 0;
    }
  }
  return found;
}

/** The data of a tensor in another shape: axes of 1 are repeated, and of longer ones it is the beginning. */
function fitted({ shape, data }, to) {
  const own = [...to.slice(shape.length).map(() => 1), ...shape];
  return picked(data, to, stridesOf(own).map((stride, axis) => (own[axis] === 1 ? 0 : stride)));
}

/** `f` of the elements of tensors, or numbers, that broadcast. */
function elementwise(f, inputs) {
  const tensors = inputs.map((x) => (typeof x === "number" ? { shape: [], data: Float64Array.of(x) } : x));
  const rank = Math.max(...tensors.map(({ shape }) => shape.length));
  const sizes = (axis) => tensors.map(({ shape }) => shape[shape.length - rank + axis] ?? 1);
  const y = tensor(Array.from({ length: rank }, (_, axis) => Math.max(...sizes(axis))));
  const isRepeated = ({ shape }) => shape.every((size, axis) => size === y.shape[rank - shape.length + axis]);
  const [a, b, c] = tensors.map((x) => (isRepeated(x) ? x.data : fitted(x, y.shape))); // whole, as often as it fits
  for (let i = 0; i < y.data.length; i++) y.data[i] = f(a[i % a.length], b?.[i % b.length], c?.[i % c.length]);
  return y;
}

/** A tensor of the same shape, whose every row, along the last axis, `fill` makes of that row and its number. */
function byRows({ shape, data }, fill) {
  const y = tensor(shape);
  const width = shape.at(-1);
  const rowAt = (all, row) => all.subarray(row * width, (row + 1) * width);
  for (let row = 0; row * width < data.length; row++) fill(rowAt(data, row), rowAt(y.data, row), row);
  return y;
}

/** Σ a b over so many numbers, from these places on. */
function dot(a, i, b, j, count) {
  let sum = 0;
  for (let k = 0; k < count; k++) sum += a[i + k] * b[j + k];
  return sum;
}

/** To so many numbers of y, from a place on, add the products of a row of x with as many rows of w. */
function addDots(y, at, count, x, row, w, start, width) {
  for (let i = 0; i < count; i++) y[at + i] += dot(x, row, w, start + i * width, width);
}

/** The same to four numbers in each of two lines of y, so many apart, of two rows of x: four times as fast as
 * one after the other, as no sum waits for itself, and what is read is used more than once. */
function addEightDots(y, at, apart, x, row, w, start, width) {
  const [next, w1, w2, w3, below] = [row + width, start + width, start + 2 * width, start + 3 * width, at + apart];
  let [a0, a1, a2, a3, b0, b1, b2, b3] = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let i = 0; i < width; i++) {
    const a = x[row + i];
    const b = x[next + i];
    a0 += a * w[start + i];
    a1 += a * w[w1 + i];
    a2 += a * w[w2 + i];
    a3 += a * w[w3 + i];
    b0 += b * w[start + i];
    b1 += b * w[w1 + i];
    b2 += b * w[w2 + i];
    b3 += b * w[w3 + i];
  }
  y[at] += a0;
  y[at + 1] += a1;
  y[at + 2] += a2;
  y[at + 3] += a3;
  y[below] += b0;
  y[below + 1] += b1;
  y[below + 2] += b2;
  y[below + 3] += b3;
}

/** Positive numbers that sum to one, 0 where it is not `open`; zeros where nothing is. */
function softmax(row, open, to = new Float64Array(row.length)) {
  let top = -Infinity;
  for (let i = 0; i < row.length; i++) if ((!open || open[i]) && row[i] > top) top = row[i];
  for (let i = 0; i < row.length; i++) to[i] = !open || open[i] ? Math.exp(row[i] - top) : 0;
  const all = total(to) || 1;
  for (let i = 0; i < row.length; i++) to[i] /= all;
  return to;
}

function total(row) {
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += row[i];
  return sum;
}

function plus(a, b) {
  return a + b;
}

/** Φ(x), as minigrad computes it in float32: see `normal_share` in minigrad/ops/elementwise.py. */
function normalShare(x) {
  const t = 1 / (1 + 0.3 * Math.abs(x));
  const density = Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);
  const beyond = NORMAL.reduce((sum, coefficient) => (sum + coefficient) * t, 0) * density;
  return x > 0 ? 1 - beyond : beyond;
}
const NORMAL = [
  0.090067462, -0.396738917, 0.521896242, -0.138851474, 0.32453099, 0.24975421, 0.302796572, 0.299858891,
];
