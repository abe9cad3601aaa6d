// What the pages of attention heads share: colours of weights, thumbnails, names, cells.

// The keys that go to a neighbour: so many down, and so many to the right.
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

// The colours of attention weights from 0 to 1, in equal steps of lightness: on white those of the
// picture, on black from near black to light blue.
const WEIGHT_COLOURS = {
  light: DATA.colours,
  dark: ["#1b212b", "#123f66", "#1a6299", "#3f8bc4", "#7db8e2", "#d3ebfa"],
};

/** Unpack the arrays of these names in each layer; the last axes of its weights are its heads, rows
 * (queries) and columns (keys). */
async function unpackLayers(layers, names) {
  for (const layer of layers) {
    const [heads, rows, columns] = layer.weights.shape.slice(-3);
    Object.assign(layer, { heads, rows, columns });
    for (const name of names) if (layer[name]) layer[name] = await unpacked(layer[name]);
  }
}

/** Paint weights (rows × columns, 0 to 1, in C order) on a canvas, one pixel each: CSS makes it as
 * large as it likes, with `image-rendering: pixelated`. Colours follow the square root of the
 * weight, so that small ones can be seen; after a change of theme (`onTheme`) paint again. */
function paintWeights(canvas, weights, rows, columns) {
  const colours = ramp(WEIGHT_COLOURS[isDark() ? "dark" : "light"]);
  paint(canvas, weights, rows, columns, (weight) => colours[Math.round(255 * Math.sqrt(Math.max(0, weight)))]);
}

/** Paint numbers of either sign on a canvas, as `paintWeights` does: the sign by the colour, 0 as
 * the paper, and the strongest colours at the size `most`. */
function paintSigned(canvas, values, rows, columns, most = largest(values)) {
  const colours = ramp(["--negative", "--paper", "--positive"].map(colourOf));
  paint(canvas, values, rows, columns, (value) => {
    const strength = most > 0 ? Math.sqrt(Math.min(1, Math.abs(value) / most)) : 0;
    return colours[Math.round(127.5 + 127.5 * Math.sign(value) * strength)];
  });
}

/** Paint a matrix on a canvas, one pixel each in the colour (0xAABBGGRR) that a number has. */
function paint(canvas, values, rows, columns, colour) {
  [canvas.width, canvas.height] = [columns, rows];
  const pixels = new Uint32Array(rows * columns);
  for (let i = 0; i < pixels.length; i++) pixels[i] = colour(values[i]);
  const image = new ImageData(new Uint8ClampedArray(pixels.buffer), columns, rows);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** 256 colours through the given ones ("#rrggbb"), as numbers 0xAABBGGRR. */
function ramp(stops) {
  const colours = stops.map((stop) => [5, 3, 1].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (stops.length - 1);
    const left = Math.min(Math.floor(place), stops.length - 2);
    const mixed = colours[left].map((a, k) => Math.round(a + (colours[left + 1][k] - a) * (place - left)));
    return mixed.reduce((number, part) => number * 256 + part, 255);
  });
}

/** Such as "Decoder cross-attention, layer 1, head 2". */
function fullName({ group, name }, head) {
  return `${group ? `${group}, ` : ""}${name}, head ${head + 1}`;
}

/** What stands along the sides of a layer's maps: what asks, what is asked, and, where a model is
 * asked for something there, what that is called. */
function sidesOf({ asking, asked, written, write }) {
  const named = (side) => (side ? `: ${side === "target" ? "reads" : side}` : "");
  return { query: `query${named(asking)}`, key: `key${named(asked)}`, write: written.length ? write : "" };
}

/** Put a thumbnail of each head into `host`, a row per layer and a column per head under the name of
 * their group, and keep the buttons as each layer's `thumbnails`. A click calls `choose` with the
 * layer and the head. */
function buildThumbnails(host, layers, choose) {
  const groupOf = (layer) => [layer.group, ...Object.values(sidesOf(layer))].join();
  for (const group of new Set(layers.map(groupOf))) {
    const own = layers.filter((layer) => groupOf(layer) === group);
    const grid = element("div", { class: "heads", style: `--heads: ${Math.max(...own.map(({ heads }) => heads))}` });
    for (const layer of own) {
      const button = (_, head) => element("button", {
        type: "button",
        class: "thumbnail",
        title: fullName(layer, head),
        "aria-label": fullName(layer, head),
        style: `grid-column: ${head + 2}`,
        onclick: () => choose(layer, head),
      }, element("canvas"));
      layer.thumbnails = Array.from({ length: layer.heads }, button);
      grid.append(element("span", { class: "grey", title: layer.name }, layer.name), ...layer.thumbnails);
    }
    const { query, key } = sidesOf(own[0]);
    host.append(
      ...(own[0].group ? [element("h2", {}, own[0].group)] : []),
      element("p", { class: "sides grey" }, element("span", {}, `↓ ${query}`), element("span", {}, `→ ${key}`)),
      grid,
    );
  }
}

/** Paint every thumbnail with the weights that `weightsOf` has for its layer and head. */
function paintThumbnails(layers, weightsOf) {
  for (const layer of layers) {
    layer.thumbnails.forEach((button, head) =>
      paintWeights(button.firstChild, weightsOf(layer, head), layer.rows, layer.columns));
  }
}

/** Mark the thumbnail of this layer and head as the chosen one. */
function markThumbnail(layers, layer, head) {
  for (const each of layers) {
    each.thumbnails.forEach((button, number) => (button.ariaPressed = each === layer && number === head));
  }
}

/** The cell of a matrix that the pointer is on. */
function cellUnder({ currentTarget, clientX, clientY }, { rows, columns }) {
  const { left, top, width, height } = currentTarget.getBoundingClientRect();
  const place = (share, count) => within(Math.floor(share * count), count);
  return { row: place((clientY - top) / height, rows), column: place((clientX - left) / width, columns) };
}

/** The digits that say which number an array has at a place, as few as do: of float32, nine at most. */
function exact(values, at) {
  const x = values[at];
  const isNear = (count) => Math.fround(x.toPrecision(count)) === x;
  const count = [1, 2, 3, 4, 5, 6, 7, 8].find(isNear) ?? 9;
  const shorter = values instanceof Float64Array ? x : Number(x.toPrecision(count));
  const isSmall = x !== 0 && Math.abs(x) < 1e-4;
  return (isSmall ? shorter.toExponential() : String(shorter)).replaceAll("-", "−");
}
