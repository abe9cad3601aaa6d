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
    for (let row = 0, at = 0; at < y.data.length; row += ins) {
      if (bias) y.data.set(bias.data, at);
      let out = 0;
      for (; out + 3 < outs; out += 4, at += 4) addFourDots(y.data, at, x.data, row, weight.data, out * ins, ins);
      for (; out < outs; out++, at++) y.data[at] += dot(x.data, row, weight.data, out * ins, ins);
    }
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
    const weights = byRows(scores, (row, number) => softmax(row, open?.subarray(number * columns)));
    const y = tensor([1, heads, rows, wide]);
    change?.(weights, open);
    forEachCell((at, row, column) => {
      for (let i = 0; i < wide; i++) y.data[row * wide + i] += weights.data[at] * value.data[column * wide + i];
    });
    return { ...y, scores: scores.data, weights: weights.data, open };
  },
  layer_norm({ eps }, x, weight, bias) {
    const centred = byRows(x, (row) => {
      const mean = row.reduce(plus) / row.length;
      return row.map((each) => each - mean);
    });
    const y = OPS.rms_norm({ eps }, centred, weight);
    return bias ? OPS.add({}, y, bias) : y;
  },
  rms_norm({ eps }, x, weight) {
    const y = byRows(x, (row) => {
      const size = Math.sqrt(dot(row, 0, row, 0, row.length) / row.length + eps);
      return row.map((each) => each / size);
    });
    return weight ? OPS.multiply({}, y, weight) : y;
  },
  rotary({ start, base }, x) {
    const [length, width] = x.shape.slice(-2);
    return byRows(x, (row, number) => row.map((each, i) => {
      const isFirst = i < width / 2;
      const angle = (start + (number % length)) * base ** ((-2 * (i % (width / 2))) / width);
      const other = row[(i + width / 2) % width];
      return each * Math.cos(angle) + (isFirst ? -other : other) * Math.sin(angle);
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
  const [a, b, c] = tensors.map((x) => (sizeOf(x.shape) === y.data.length ? x.data : fitted(x, y.shape)));
  for (let i = 0; i < y.data.length; i++) y.data[i] = f(a[i], b?.[i], c?.[i]);
  return y;
}

/** A tensor whose every row, along the last axis, is what `f` makes of that row and its number. */
function byRows({ shape, data }, f) {
  const y = tensor(shape);
  const width = shape.at(-1);
  for (let at = 0, row = 0; at < data.length; at += width, row++) y.data.set(f(data.subarray(at, at + width), row), at);
  return y;
}

/** Σ a b over so many numbers, from these places on. */
function dot(a, i, b, j, count) {
  let sum = 0;
  for (let k = 0; k < count; k++) sum += a[i + k] * b[j + k];
  return sum;
}

/** To four numbers of y, from a place on, add the products of a row of x with four rows of w: three times
 * as fast as one after the other, as no sum waits for itself. */
function addFourDots(y, at, x, row, w, start, width) {
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < width; i++) {
    const each = x[row + i];
    a += each * w[start + i];
    b += each * w[start + width + i];
    c += each * w[start + 2 * width + i];
    d += each * w[start + 3 * width + i];
  }
  y[at] += a;
  y[at + 1] += b;
  y[at + 2] += c;
  y[at + 3] += d;
}

/** Positive numbers that sum to one, 0 where it is not `open`; zeros where nothing is. */
function softmax(row, open) {
  const top = row.reduce((most, x, i) => (!open || open[i] ? Math.max(most, x) : most), -Infinity);
  const powers = row.map((x, i) => (!open || open[i] ? Math.exp(x - top) : 0));
  const all = powers.reduce(plus) || 1;
  return powers.map((power) => power / all);
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
