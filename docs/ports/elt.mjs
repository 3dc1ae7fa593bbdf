/**
 * Elastic Looped Transformers in JavaScript: both families, their losses, and sampling at any number of loops.
 *
 *     F_(N,L)(x) = g(g(… g(x)))     L loops of one block g of N layers
 *
 * A port of elt_ref without dependencies, for Node and browsers. It reads the checkpoints of `elt-ref train`, and it
 * follows the pages elt_ref/paper/masked.py and diffusion.py. There are no gradients: train in Python, sample here.
 *
 *     const parameters = tree(readSafetensors(bytes), "average");
 *     const tokens = maskedSample(parameters, model, sampling, maskedStart(model, B), labels, noise, loops);
 *
 * Shapes: B batch, T tokens, n sequence (T, and the class token in the masked family), d width, h heads, V codes,
 * L loops, K sampling steps, H W C sides of a sample. `model`, `diffusion`, `sampling` and `training` are sections of a
 * configuration (specs/configuration.md). States have the dtype of the inputs and parameters, float64 or float32; sums
 * accumulate in float64. Schedules are functions of plain numbers. Randomness is always an input.
 *
 * @typedef {{data: Float64Array | Float32Array | Int32Array | Uint8Array, shape: number[]}} Tensor in C order; codes
 *   and labels are Int32Array, masks Uint8Array
 * @typedef {{state: Tensor, block: ((x: Tensor, see?: (weights: Tensor) => void) => Tensor)[],
 *   head: (x: Tensor) => Tensor}} Network with its inputs embedded: the state before the first loop, the N layers, each
 *   of which shows its weights of attention [B, h, n, n] if asked, and the map from a state to a prediction
 */

// ---- Tensors -------------------------------------------------------------------------------------------------------

export const DTYPES = { float64: Float64Array, float32: Float32Array };

/** @returns {Tensor} */
export const tensor = (data, shape) => ({ data, shape });

const count = (shape) => shape.reduce((product, side) => product * side, 1);
const range = (length) => Array.from({ length }, (_, index) => index);

/** The tensor in another shape; one side may be -1. */
export function reshape(x, shape) {
  const missing = x.data.length / -count(shape);
  return tensor(x.data, shape.map((side) => (side === -1 ? missing : side)));
}

/** The tensor in the dtype of another. */
export const cast = (x, like) => tensor(like.data.constructor.from(x.data), x.shape);

const strides = (shape) => shape.map((_, axis) => count(shape.slice(axis + 1)));

/** Offsets of all places of `shape`, in C order, in data with these strides. */
function offsets(shape, strides) {
  const result = new Int32Array(count(shape));
  let places = 1;
  for (const [axis, side] of shape.entries()) {
    for (let place = places - 1; place >= 0; place--) {
      // From the end: no offset is overwritten before it is read.
      for (let k = side - 1; k >= 0; k--) result[place * side + k] = result[place] + k * strides[axis];
    }
    places *= side;
  }
  return result;
}

/** Values at all places of `shape`, in C order, read with these strides. */
function gather(x, shape, strides, first = 0) {
  const lines = offsets(shape.slice(0, -1), strides);
  const [width, step] = [shape.at(-1), strides.at(-1)];
  const source = x.data, data = new source.constructor(lines.length * width);
  for (let line = 0, place = 0; line < lines.length; line++) {
    for (let k = 0, from = first + lines[line]; k < width; k++, from += step) data[place++] = source[from];
  }
  return tensor(data, shape);
}

/** The tensor with its axes in another order. */
export function transpose(x, axes) {
  const old = strides(x.shape);
  return gather(x, axes.map((axis) => x.shape[axis]), axes.map((axis) => old[axis]));
}

/** The part from `start` to `end` of one axis. */
export function slice(x, axis, start, end) {
  const all = strides(x.shape);
  return gather(x, x.shape.with(axis, end - start), all, start * all[axis]);
}

/** Equal parts along one axis. */
function split(x, parts, axis) {
  const side = x.shape[axis] / parts;
  return range(parts).map((part) => slice(x, axis, part * side, (part + 1) * side));
}

/** The k-th entry along the first axis, without a copy. */
export function entry(x, k) {
  const shape = x.shape.slice(1);
  return tensor(x.data.subarray(k * count(shape), (k + 1) * count(shape)), shape);
}

/** Tensors of one shape as the entries of a new first axis. */
export function stack(xs) {
  const data = new xs[0].data.constructor(xs.length * xs[0].data.length);
  xs.forEach((x, k) => data.set(x.data, k * x.data.length));
  return tensor(data, [xs.length, ...xs[0].shape]);
}

/** Rows of a table [rows, d] by their numbers, an array → [..., d]. */
function rows(table, numbers, shape) {
  const d = table.shape[1];
  const data = new table.data.constructor(numbers.length * d);
  numbers.forEach((row, k) => data.set(table.data.subarray(row * d, (row + 1) * d), k * d));
  return tensor(data, [...shape, d]);
}

const NUMBER = tensor(new Float64Array(1), []);

/** f at every place of up to three tensors; sides of 1 stretch, as in NumPy. The result has the dtype of the first. */
export function map(f, a, b = NUMBER, c = NUMBER) {
  const rank = Math.max(a.shape.length, b.shape.length, c.shape.length, 1);
  const padded = [a, b, c].map((x) => [...Array(rank - x.shape.length).fill(1), ...x.shape]);
  const shape = range(rank).map((axis) => padded.reduce((side, sides) => (side === 1 ? sides[axis] : side), 1));
  if (padded.some((sides) => sides.some((side, axis) => side !== 1 && side !== shape[axis]))) {
    const got = [a, b, c].filter((x) => x !== NUMBER).map((x) => `[${x.shape}]`);
    throw new RangeError(`map: expected shapes that stretch to each other, got ${got.join(" ")}`);
  }
  const steps = padded.map((sides) => strides(sides).map((stride, axis) => (sides[axis] === 1 ? 0 : stride)));
  const [rowsA, rowsB, rowsC] = steps.map((step) => offsets(shape.slice(0, -1), step));
  const [stepA, stepB, stepC] = steps.map((step) => step[rank - 1]);
  const [dataA, dataB, dataC] = [a.data, b.data, c.data];
  const out = new dataA.constructor(count(shape));
  const width = shape[rank - 1];
  for (let row = 0, place = 0; row < rowsA.length; row++) {
    let placeA = rowsA[row], placeB = rowsB[row], placeC = rowsC[row];
    for (let k = 0; k < width; k++, placeA += stepA, placeB += stepB, placeC += stepC) {
      out[place++] = f(dataA[placeA], dataB[placeB], dataC[placeC]);
    }
  }
  return tensor(out, shape.slice(rank - Math.max(a.shape.length, b.shape.length, c.shape.length)));
}

/** Fold the last axis to a side of 1, in float64. */
function fold(f, start, x) {
  const width = x.shape.at(-1);
  const out = new x.data.constructor(x.data.length / width);
  for (let row = 0; row < out.length; row++) {
    let folded = start;
    for (let k = row * width; k < (row + 1) * width; k++) folded = f(folded, x.data[k]);
    out[row] = folded;
  }
  return tensor(out, x.shape.with(-1, 1));
}

/** a [..., k] times b [k, m], plus a row [m], if there is one → [..., m]. */
export function matmul(a, b, plus = null) {
  const [inner, columns] = b.shape;
  if (a.shape.at(-1) !== inner) throw new RangeError(`matmul: expected [..., ${inner}], got [${a.shape}]`);
  const rows = a.data.length / inner;
  const out = new a.data.constructor(rows * columns);
  kernels.multiply(a.data, b.data, plus === null ? new b.data.constructor(columns) : plus.data, out, rows, inner, columns);
  return tensor(out, a.shape.with(-1, columns));
}

/** out = a [n, k] b [k, m] + start [m], in tiles of 2 × 4 sums that stay in registers; at an edge one comes twice. */
function multiply(a, b, start, out, rows, inner, columns) {
  for (let j0 = 0; j0 < columns; j0 += 4) {
    const j1 = Math.min(j0 + 1, columns - 1), j2 = Math.min(j0 + 2, columns - 1), j3 = Math.min(j0 + 3, columns - 1);
    for (let i0 = 0; i0 < rows; i0 += 2) {
      const i1 = Math.min(i0 + 1, rows - 1);
      const rowA0 = i0 * inner, rowA1 = i1 * inner, row0 = i0 * columns, row1 = i1 * columns;
      let s00 = start[j0], s01 = start[j1], s02 = start[j2], s03 = start[j3];
      let s10 = s00, s11 = s01, s12 = s02, s13 = s03;
      for (let k = 0, rowB = 0; k < inner; k++, rowB += columns) {
        const a0 = a[rowA0 + k], a1 = a[rowA1 + k];
        const b0 = b[rowB + j0], b1 = b[rowB + j1], b2 = b[rowB + j2], b3 = b[rowB + j3];
        s00 += a0 * b0, s01 += a0 * b1, s02 += a0 * b2, s03 += a0 * b3;
        s10 += a1 * b0, s11 += a1 * b1, s12 += a1 * b2, s13 += a1 * b3;
      }
      out[row0 + j0] = s00, out[row0 + j1] = s01, out[row0 + j2] = s02, out[row0 + j3] = s03;
      out[row1 + j0] = s10, out[row1 + j1] = s11, out[row1 + j2] = s12, out[row1 + j3] = s13;
    }
  }
}

/** The product may be another with the same sums, such as elt_wasm.mjs's. */
export const kernels = { multiply };

/** Place of the largest value along the last axis, the first of equals. [..., V] → [...] */
function argmax(x) {
  const V = x.shape.at(-1);
  const largest = fold(Math.max, -Infinity, x).data;
  const places = Int32Array.from(largest, (value, row) => x.data.subarray(row * V, (row + 1) * V).indexOf(value));
  return tensor(places, x.shape.slice(0, -1));
}

/** Value at one place of the last axis. x [..., V], places [...] → [...] */
function pick(x, places) {
  const V = x.shape.at(-1);
  return tensor(x.data.constructor.from(places.data, (place, row) => x.data[row * V + place]), places.shape);
}

/** a + b; b has the shape of a, or of its last axes. */
function add(a, b) {
  const data = a.data.slice();
  for (let first = 0; first < data.length; first += b.data.length) {
    for (let k = 0; k < b.data.length; k++) data[first + k] += b.data[k];
  }
  return tensor(data, a.shape);
}

const sum = (x) => fold((total, value) => total + value, 0, x);

// ---- What both networks share: the parts of a layer, and the loop ---------------------------------------------------

/** x W + b; weight [inputs, outputs], bias [outputs]. */
const linear = (x, { weight, bias }) => matmul(x, weight, bias);

/** scale · (x − mean) / √(variance + ε) + bias over the last axis. x [B, ..., d]; scale, bias [d] or [B, 1, d]. */
function layerNorm({ data, shape }, { scale, bias }, epsilon) {
  const d = shape.at(-1);
  const each = scale.data.length === d ? Infinity : data.length / shape[0]; // numbers of a sample with its own scale
  const out = new data.constructor(data.length);
  for (let row = 0; row < data.length; row += d) {
    let mean = 0, variance = 0;
    for (let k = 0; k < d; k++) mean += data[row + k];
    mean /= d;
    for (let k = 0; k < d; k++) variance += (data[row + k] - mean) * (data[row + k] - mean);
    const deviation = Math.sqrt(variance / d + epsilon);
    for (let k = 0, own = Math.floor(row / each) * d; k < d; k++, own++) {
      out[row + k] = ((data[row + k] - mean) / deviation) * scale.data[own] + bias.data[own];
    }
  }
  return tensor(out, shape);
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** GELU by its tanh, ½ v (1 + tanh u) = v sigmoid(2 u), in place: its input is always a product that nobody keeps. */
function gelu(x) {
  const { data } = x, slope = -2 * Math.sqrt(2 / Math.PI);
  for (let k = 0; k < data.length; k++) {
    const v = data[k];
    data[k] = v / (1 + Math.exp(slope * (v + 0.044715 * v * v * v)));
  }
  return x;
}

const silu = (x) => map((value) => value * sigmoid(value), x);

/** log softmax over the last axis; no shift changes the result, and after this one exp(x) ≤ 1. */
export function logSoftmax(x) {
  const V = x.shape.at(-1);
  const data = x.data.slice();
  for (let row = 0; row < data.length; row += V) {
    let largest = -Infinity, total = 0;
    for (let k = row; k < row + V; k++) largest = Math.max(largest, data[k]);
    for (let k = row; k < row + V; k++) total += Math.exp(data[k] - largest);
    const logTotal = Math.log(total);
    for (let k = row; k < row + V; k++) data[k] = data[k] - largest - logTotal;
  }
  return tensor(data, x.shape);
}

/** softmax(query · key / √(d/h)): what each token, the third axis, takes from each. [B, n, 3 d] → [B, h, n, n]. */
function weightsOf(projected, heads) {
  const { data, shape: [B, n, width] } = projected;
  const [d, size] = [width / 3, width / 3 / heads];
  const zeros = new data.constructor(n), scores = new data.constructor(n * n), out = new data.constructor(B * heads * n * n);
  for (let part = 0; part < B * heads; part++) {
    const first = Math.floor(part / heads) * n * width + (part % heads) * size;
    const queries = gather(projected, [n, size], [width, 1], first);
    const keys = gather(projected, [size, n], [1, width], first + d); // transposed
    kernels.multiply(queries.data, keys.data, zeros, scores, n, size, n);
    for (let row = 0, place = part * n * n; row < n * n; row += n, place += n) {
      let largest = -Infinity, total = 0;
      for (let j = 0; j < n; j++) {
        out[place + j] = scores[row + j] / Math.sqrt(size);
        largest = Math.max(largest, out[place + j]);
      }
      for (let j = place; j < place + n; j++) total += out[j] = Math.exp(out[j] - largest);
      for (let j = place; j < place + n; j++) out[j] /= total;
    }
  }
  return tensor(out, [B, heads, n, n]);
}

/** Σ_j weight_ij value_j. projected [B, n, 3 d], weights [B, h, n, n] → [B, n, d]. */
function mixValues(projected, { data: weights }, heads) {
  const { data, shape: [B, n, width] } = projected;
  const [d, size] = [width / 3, width / 3 / heads];
  const zeros = new data.constructor(size), mixed = new data.constructor(n * size), out = new data.constructor(B * n * d);
  for (let part = 0; part < B * heads; part++) {
    const b = Math.floor(part / heads), head = part % heads;
    const values = gather(projected, [n, size], [width, 1], b * n * width + 2 * d + head * size);
    kernels.multiply(weights.subarray(part * n * n, (part + 1) * n * n), values.data, zeros, mixed, n, n, size);
    for (let i = 0; i < n; i++) out.set(mixed.subarray(i * size, (i + 1) * size), (b * n + i) * d + head * size);
  }
  return tensor(out, [B, n, d]);
}

/** Attend from every token to every token. x [B, n, d] → [B, n, d]; `see` is shown the weights [B, h, n, n]. */
function attention(x, { query_key_value: queryKeyValue, output }, heads, see = null) {
  const projected = linear(x, queryKeyValue);
  const weights = weightsOf(projected, heads);
  see?.(weights);
  return linear(mixValues(projected, weights, heads), output);
}

const mlp = (x, { up, down }) => linear(gelu(linear(x, up)), down);

/** Yield the state after each of the L loops. A loop is the block alone: no input again, no loop index, no norm. */
export function* loopStates({ state, block }, loops) {
  for (let loop = 0; loop < loops; loop++) { // E4: F_(N,L), the same block again and again
    for (const layer of block) state = layer(state); // E3: g_Θ, a block of N layers
    yield state;
  }
}

/** Yield the state after each layer of each loop: where two implementations differ, the first such state differs. */
export function* layerStates({ state, block }, loops) {
  for (const layer of range(loops).flatMap(() => block)) yield (state = layer(state));
}

/** The prediction after any number of loops. */
export function forward(network, loops) {
  const state = [...loopStates(network, loops)].at(-1);
  return network.head(state);
}

// ---- The masked network ---------------------------------------------------------------------------------------------

/** Id of the mask, the last row of the embedding: codes, classes, "no class" (if it has a row), mask. */
export const maskToken = (model) => model.codebook_size + model.classes + Number(model.unconditional_row);

/** f_θ, normalised after each sum. x [B, n, d] → [B, n, d]; `see` is shown the weights of attention. */
export function maskedLayer(x, theta, heads, epsilon, see = null) {
  x = layerNorm(add(x, attention(x, theta.attention, heads, see)), theta.attention_norm, epsilon);
  return layerNorm(add(x, mlp(x, theta.mlp)), theta.mlp_norm, epsilon);
}

/** tokens [B, T], labels [B] → [B, n, d]: the class token, then the tokens. */
function maskedEmbed({ word, position, norm }, model, tokens, labels) {
  const [B, T] = tokens.shape;
  const ids = range(B).flatMap((b) => [model.codebook_size + labels.data[b], ...entry(tokens, b).data]);
  return layerNorm(add(rows(word, ids, [B, T + 1]), position), norm, model.layer_norm_epsilon);
}

/** x [B, n, d] → logits [B, T, V]. The class token predicts nothing; the codes' rows of the embedding serve again. */
function maskedHead(parameters, model, x) {
  const { dense, norm, bias } = parameters.head;
  const codes = slice(parameters.embedding.word, 0, 0, model.codebook_size);
  const hidden = layerNorm(gelu(linear(slice(x, 1, 1, x.shape[1]), dense)), norm, model.layer_norm_epsilon);
  return matmul(hidden, transpose(codes, [1, 0]), bias);
}

/**
 * @param {object} parameters nested, as from `tree`
 * @param {object} model section
 * @param {Tensor} tokens [B, T], the mask where unknown
 * @param {Tensor} labels [B]
 * @returns {Network} predicting logits [B, T, V]
 */
export function maskedNetwork(parameters, model, tokens, labels) {
  return {
    state: maskedEmbed(parameters.embedding, model, tokens, labels),
    block: parameters.block.map((theta) => (x, see) => maskedLayer(x, theta, model.heads, model.layer_norm_epsilon, see)),
    head: (x) => maskedHead(parameters, model, x),
  };
}

// ---- The diffusion network ------------------------------------------------------------------------------------------

/** c [B, d] → `chunks` × [B, 1, d], which steer a layer or the head. */
function modulation(c, chunks, theta) {
  const all = linear(silu(c), theta);
  return split(reshape(all, [c.shape[0], 1, -1]), chunks, 2);
}

/** The norm that a shift and a scale, [B, 1, d], steer. */
const modulatedNorm = (x, shift, scale, epsilon) =>
  layerNorm(x, { scale: map((s) => 1 + s, scale), bias: shift }, epsilon);

/** x + gate · branch; x, branch [B, T, d], gate [B, 1, d]. */
function gated({ data, shape }, gate, branch) {
  const [, T, d] = shape;
  const out = data.slice();
  for (let first = 0; first < data.length; first += d) {
    const own = Math.floor(first / d / T) * d;
    for (let k = 0; k < d; k++) out[first + k] += gate.data[own + k] * branch.data[first + k];
  }
  return tensor(out, shape);
}

/** f_θ: each part behind a modulated norm, and added through a gate. x [B, T, d], c [B, d] → a map of x, as above. */
export function diffusionLayer(c, theta, heads, epsilon) {
  const [shift1, scale1, gate1, shift2, scale2, gate2] = modulation(c, 6, theta.modulation); // the same in every loop
  return (x, see) => {
    x = gated(x, gate1, attention(modulatedNorm(x, shift1, scale1, epsilon), theta.attention, heads, see));
    return gated(x, gate2, mlp(modulatedNorm(x, shift2, scale2, epsilon), theta.mlp));
  };
}

/** Sines and cosines of x at falling frequencies, 2 × `features` / 2 numbers. */
function waves(x, features) {
  const angles = range(features / 2).map((k) => x * Math.exp((-Math.log(10000) * k) / (features / 2)));
  return [angles.map(Math.sin), angles.map(Math.cos)];
}

/** Positions [rows · columns, width] in float64: one half of the channels from the column, then one from the row. */
export function positions(rows, columns, width) {
  const places = range(rows * columns).map((place) => [place % columns, Math.floor(place / columns)]);
  const values = places.flat().flatMap((place) => waves(place, width / 2).flat());
  return tensor(Float64Array.from(values), [rows * columns, width]);
}

const KEPT = new Map();
/** A value by its name, computed once: every step of sampling needs the same positions. */
const kept = (name, compute) => KEPT.get(name) ?? KEPT.set(name, compute()).get(name);

/** Features [B, width] of times [B] in float64: cosines first, unlike the positions. */
export function timeFeatures(time, width, scale) {
  const values = Array.from(time.data).flatMap((t) => waves(scale * t, width).reverse().flat());
  return tensor(Float64Array.from(values), [time.data.length, width]);
}

/** [B, H, W, C] → [B, T, C · size²], each patch as (channel, row, column). */
export function patchify(samples, size) {
  const [B, H, W, C] = samples.shape;
  const patches = transpose(reshape(samples, [B, H / size, size, W / size, size, C]), [0, 1, 3, 5, 2, 4]);
  return reshape(patches, [B, (H / size) * (W / size), C * size * size]);
}

/** [B, T, size² · C], each patch as (row, column, channel) → [B, H, W, C]. */
export function unpatchify(patches, [H, W, C], size) {
  const B = patches.shape[0];
  const samples = transpose(reshape(patches, [B, H / size, W / size, size, size, C]), [0, 1, 3, 2, 4, 5]);
  return reshape(samples, [B, H, W, C]);
}

/** noisy [B, H, W, C], time [B], labels [B] → [B, T, d], and what steers the layers, [B, d]. */
function diffusionEmbed({ patch, time_in: timeIn, time_out: timeOut, label }, model, noisy, time, labels) {
  const [height, width] = model.shape.map((side) => side / model.patch_size);
  const places = kept(`${[height, width, model.width]}`, () => positions(height, width, model.width));
  const features = cast(timeFeatures(time, model.time_features, model.time_scale), noisy);
  const hidden = linear(silu(linear(features, timeIn)), timeOut); // [B, d]
  const c = add(hidden, rows(label, labels.data, labels.shape));
  return [add(linear(patchify(noisy, model.patch_size), patch), places), c];
}

/**
 * @param {object} parameters nested, as from `tree`
 * @param {object} model section
 * @param {Tensor} noisy [B, H, W, C]
 * @param {Tensor} time [B], from 0 (clean) to 1 (noise)
 * @param {Tensor} labels [B]
 * @returns {Network} predicting x0, ε or v [B, H, W, C]
 */
export function diffusionNetwork(parameters, model, noisy, time, labels) {
  const epsilon = model.layer_norm_epsilon;
  const [state, c] = diffusionEmbed(parameters.embedding, model, noisy, time, labels);
  const [shift, scale] = modulation(c, 2, parameters.head.modulation);
  return {
    state,
    block: parameters.block.map((theta) => diffusionLayer(c, theta, model.heads, epsilon)),
    head: (x) => {
      const patches = linear(modulatedNorm(x, shift, scale, epsilon), parameters.head.output);
      return unpatchify(patches, model.shape, model.patch_size);
    },
  };
}

// ---- The loss: one pass of L_max loops, two predictions, three terms ------------------------------------------------

/**
 * E5: truth for the teacher + λ truth for the student + (1 − λ) the teacher's word for the student.
 *
 * @param {Network} network
 * @param {{maxLoops: number, studentLoops: number | null, truthWeight: number}} ilsd null: no student, the first term
 * @param {(prediction: Tensor) => number} truth
 * @param {(teacher: Tensor, student: Tensor) => number} distance
 */
export function ilsdLoss(network, { maxLoops, studentLoops, truthWeight }, truth, distance) {
  const states = [...loopStates(network, maxLoops)];
  const teacher = network.head(states.at(-1));
  const teacherTruth = truth(teacher); // E5.1
  if (studentLoops === null) return { total: teacherTruth, teacherTruth };
  const student = network.head(states[studentLoops - 1]); // a prefix of the teacher: no layer runs twice
  const studentTruth = truth(student); // E5.2
  const distillation = distance(teacher, student); // E5.3
  const total = teacherTruth + truthWeight * studentTruth + (1 - truthWeight) * distillation;
  return { total, teacherTruth, studentTruth, distillation };
}

const weighted = (weights, values) => weights.reduce((total, weight, k) => total + weight * values.data[k], 0);

/** E7 of one-hot targets, E8 of the teacher's: − Σ_i Σ_v target(v) log P(v), over the masked tokens i. */
const crossEntropy = (target, prediction, weights) =>
  -weighted(weights, sum(map((logP, share) => share * logP, logSoftmax(prediction), target)));

/**
 * E5 of the masked family; true tokens [B, T], mask [B, T] of the hidden ones, labels [B].
 *
 * @param {{reduction: string, labelSmoothing: number}} options smoothing applies to the truth alone
 */
export function maskedLoss(parameters, model, tokens, mask, labels, { reduction, labelSmoothing, ...ilsd }) {
  const [B, T] = tokens.shape;
  const V = model.codebook_size;
  const hidden = range(B).map((b) => entry(mask, b).data.reduce((total, masked) => total + masked, 0));
  const divisor = (b) => (reduction === "sum" ? B : B * Math.max(1, hidden[b]));
  const weights = Float64Array.from(mask.data, (masked, i) => masked / divisor(Math.floor(i / T)));
  const oneHot = tensor(new Float64Array(B * T * V).fill(labelSmoothing / V), [B, T, V]);
  tokens.data.forEach((code, i) => (oneHot.data[i * V + code] += 1 - labelSmoothing));
  const seen = map((code, masked) => (masked ? maskToken(model) : code), tokens, mask);
  return ilsdLoss(
    maskedNetwork(parameters, model, seen, labels),
    { maxLoops: model.max_loops, ...ilsd },
    (prediction) => crossEntropy(oneHot, prediction, weights),
    (teacher, student) => crossEntropy(map(Math.exp, logSoftmax(teacher)), student, weights),
  );
}

/** E9 of the truth, E10 of the teacher: w(t) ‖prediction − target‖². */
const squaredError = (target, prediction, weights) =>
  weighted(weights, sum(reshape(map((p, t) => (p - t) ** 2, prediction, target), [prediction.shape[0], -1])));

/** E5 of the diffusion family, with one time and one noise; clean, noise [B, H, W, C], time, labels [B]. */
export function diffusionLoss(parameters, model, diffusion, clean, noise, time, labels, { reduction, ...ilsd }) {
  const snr = Array.from(time.data, (t) => logSnr(t, diffusion));
  const divisor = time.data.length * (reduction === "sum" ? 1 : count(model.shape));
  const weights = Array.from(time.data, (t) => lossWeight(t, diffusion) / divisor);
  const target = predictionTarget(diffusion.prediction, clean, noise, snr);
  return ilsdLoss(
    diffusionNetwork(parameters, model, addNoise(clean, noise, snr), time, labels),
    { maxLoops: model.max_loops, ...ilsd },
    (prediction) => squaredError(target, prediction, weights),
    (teacher, student) => squaredError(teacher, student, weights),
  );
}

// ---- What a training step draws, hides and weighs -------------------------------------------------------------------

/** ⌊tokens γ(ratio)⌋, with the cosine schedule γ. float32 decides ties of the floor as MaskGIT's code does. */
function maskedCount(tokens, ratio, precision = "float64") {
  const round = precision === "float32" ? Math.fround : Number;
  const gamma = round(Math.cos(round(round(Math.PI / 2) * round(ratio))));
  return Math.floor(round(tokens * Math.min(1, Math.max(round(1e-6), gamma))));
}

/** Mark the `amount` lowest scores; of equals, the first. */
function lowest(scores, amount) {
  const order = range(scores.length).sort((i, j) => scores[i] - scores[j] || i - j);
  const marks = new Uint8Array(scores.length);
  for (const place of order.slice(0, amount)) marks[place] = 1;
  return marks;
}

/** The mask [B, T] of the tokens to hide, from the ratio [B] in [0, 1) and an order [B, T]. */
export function maskTokens(ratio, order) {
  const T = order.shape[1];
  const amounts = Array.from(ratio.data, (r) => Math.max(1, maskedCount(T, r)));
  return stack(amounts.map((amount, b) => tensor(lowest(entry(order, b).data, amount), [T])));
}

/** Labels [B]; those whose draw [B] is below the rate become "no class", so that guidance can do without one. */
export function dropLabels(labels, draws, rate, classes) {
  const [limit] = draws.data.constructor.of(rate); // in the dtype of the draws
  return map((label, draw) => (draw < limit ? classes : label), labels, draws);
}

/** Yield uniform numbers in [0, 1): a counter, mixed. */
export function* uniforms(seed) {
  for (let counter = seed; ; ) {
    counter = (counter + 0x9e3779b9) | 0;
    let bits = Math.imul(counter ^ (counter >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    yield ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
  }
}

/** E6: L_int from L_min … L_max − 1, one for the batch, from a uniform number. */
export const drawStudentLoops = (uniform, minLoops, maxLoops) =>
  minLoops + Math.floor(uniform * (maxLoops - minLoops));

/** λ of the loss: from 1 at the first step to 0 at the last. */
export const truthWeightAt = (step, steps) => 1 - step / Math.max(1, steps - 1);

/** η: a linear warm-up, then constant, or a cosine that reaches zero one step after the last. */
export function learningRateAt(step, { learning_rate: rate, warmup_steps: warmup, schedule, steps }) {
  if (step < warmup) return (rate * (step + 1)) / warmup;
  if (schedule === "constant") return rate;
  return (rate * (1 + Math.cos((Math.PI * (step - warmup)) / Math.max(1, steps - warmup)))) / 2;
}

// ---- Noise: λ = log α²/σ² falls along a cosine as t goes from 0, clean, to 1, noise ---------------------------------

const ends = ({ log_snr_max: most, log_snr_min: least }) => [most, least].map((snr) => Math.atan(Math.exp(-snr / 2)));
const atNoise = ({ shift, shift_at_noise: other }) => other ?? shift;

/** λ at time t. */
export function logSnr(t, diffusion) {
  const [start, end] = ends(diffusion);
  const shift = t * atNoise(diffusion) + (1 - t) * diffusion.shift;
  return -2 * Math.log(Math.tan(start + t * (end - start))) + shift;
}

/** dλ/dt < 0 at time t. */
export function logSnrDerivative(t, diffusion) {
  const [start, end] = ends(diffusion);
  return (-4 * (end - start)) / Math.sin(2 * (start + t * (end - start))) + atNoise(diffusion) - diffusion.shift;
}

/** w(t) for squared errors of what the network predicts: the same function of x0 for each kind. */
export function lossWeight(t, diffusion) {
  const { bias, prediction } = diffusion;
  const snr = logSnr(t, diffusion);
  const slope = diffusion.weight_derivative ? -logSnrDerivative(t, diffusion) : 1;
  if (prediction === "epsilon") return slope * sigmoid(bias - snr);
  return slope * Math.exp(bias) * sigmoid(snr - bias) * (prediction === "v" ? sigmoid(-snr) : 1);
}

/** α and σ at a log-SNR. */
const signalAndNoise = (snr) => [Math.sqrt(sigmoid(snr)), Math.sqrt(sigmoid(-snr))];

/** f(x, y, α, σ) at every place of samples x, y [B, ...], with the log-SNR of each, an array [B]. */
function mix(f, x, y, snr) {
  const samples = range(x.shape[0]).map((b) => {
    const [alpha, sigma] = signalAndNoise(snr[b]);
    return map((one, other) => f(one, other, alpha, sigma), entry(x, b), entry(y, b));
  });
  return stack(samples);
}

/** z = α x + σ ε. */
export const addNoise = (clean, noise, snr) =>
  mix((x, epsilon, alpha, sigma) => alpha * x + sigma * epsilon, clean, noise, snr);

/** What a network of this kind learns to predict. */
export function predictionTarget(kind, clean, noise, snr) {
  if (kind === "v") return mix((x, epsilon, alpha, sigma) => alpha * epsilon - sigma * x, clean, noise, snr);
  return kind === "x0" ? clean : noise;
}

/** The x0 that follows from a prediction. */
export function toClean(kind, prediction, noisy, snr) {
  if (kind === "x0") return prediction;
  if (kind === "v") return mix((v, z, alpha, sigma) => alpha * z - sigma * v, prediction, noisy, snr);
  return mix((epsilon, z, alpha, sigma) => (z - sigma * epsilon) / alpha, prediction, noisy, snr);
}

// ---- Generating: K steps, each of any number of loops ---------------------------------------------------------------

/** u + s (c − u). */
export const guide = (conditional, unconditional, scale) =>
  map((c, u) => u + scale * (c - u), conditional, unconditional);

/** s of a sampling step; a ramp starts at 1. */
export const guidanceScaleAt = (step, steps, scale, schedule) =>
  schedule === "constant" ? scale : 1 + ((scale - 1) * step) / Math.max(1, steps - 1);

/** The guided prediction; `open` embeds the inputs with labels. At s = 1 and s = 0 one branch is enough. */
function guidedForward(open, labels, classes, loops, scale) {
  const predict = (seen) => forward(open(seen), loops);
  const none = map(() => classes, labels);
  if (scale === 1 || scale === 0) return predict(scale ? labels : none);
  return guide(predict(labels), predict(none), scale);
}

/** How many of the unknown tokens of a row stay masked after a step; `start` were unknown before the first. */
export function maskLength(start, unknown, step, steps, precision) {
  const wanted = Math.max(1, Math.min(unknown - 1, maskedCount(start, (step + 1) / steps, precision)));
  return Math.min(wanted, unknown);
}

/** The number of unknown tokens of each row of tokens [B, T]. */
export const unknownCounts = (tokens, mask) =>
  range(tokens.shape[0]).map((b) => entry(tokens, b).data.reduce((total, code) => total + (code === mask), 0));

/**
 * E1: sample all unknown tokens, then mask the least confident again.
 *
 * @param {Tensor} logits [B, T, V], guided
 * @param {Tensor} tokens [B, T]
 * @param {{tokens: Tensor, confidence: Tensor}} noise standard Gumbel, [B, T, V] and [B, T]
 * @param {{step: number, steps: number, start: number[], mask: number, sampling: object}} at start [B] for `maskLength`
 * @returns {{tokens: Tensor, answer: Tensor, logP: Tensor}} for the next step; the answer of this one, without a mask;
 *   and the network's log-probability of each token of it, which means nothing where the token was known
 */
export function decodeStep(logits, tokens, noise, { step, steps, start, mask, sampling }) {
  const left = 1 - (step + 1) / steps;
  const temperature = sampling.sampling_temperature === "elt" ? 0.5 + 0.8 * left : 1;
  const scores = add(map((logit) => logit / temperature, logits), noise.tokens);
  const drawn = argmax(scores); // with Gumbel noise, a draw from the softmax
  const answer = map((code, draw) => (code === mask ? draw : code), tokens, drawn);
  const logP = pick(logSoftmax(logits), drawn); // untempered
  const noisy = map((value, gumbel) => value + sampling.choice_temperature * left * gumbel, logP, noise.confidence);
  const confidence = map((value, code) => (code === mask ? value : Infinity), noisy, tokens); // known: beyond doubt
  const again = unknownCounts(tokens, mask).map((unknown, b) => {
    const amount = maskLength(start[b], unknown, step, steps, sampling.schedule_precision);
    return tensor(lowest(entry(confidence, b).data, amount), [tokens.shape[1]]);
  });
  return { tokens: map((code, hide) => (hide ? mask : code), answer, stack(again)), answer, logP };
}

/** Tokens [B, T] of which nothing is known. */
export const maskedStart = (model, B) =>
  tensor(new Int32Array(B * count(model.grid)).fill(maskToken(model)), [B, count(model.grid)]);

/**
 * Yield the tokens and the answer of each step of decoding.
 *
 * @param {Tensor} tokens [B, T] to start from; known ones stay
 * @param {Tensor} labels [B]
 * @param {(step: number) => {tokens: Tensor, confidence: Tensor}} noise as in `decodeStep`
 * @param {number[]} loops L of each of the K steps
 */
export function* decode(parameters, model, sampling, tokens, labels, noise, loops) {
  const [mask, steps] = [maskToken(model), loops.length];
  const start = unknownCounts(tokens, mask);
  for (let step = 0; step < steps; step++) {
    const scale = guidanceScaleAt(step, steps, sampling.guidance_scale, sampling.guidance_schedule);
    const open = (seen) => maskedNetwork(parameters, model, tokens, seen);
    const logits = guidedForward(open, labels, model.classes, loops[step], scale);
    const decoded = decodeStep(logits, tokens, noise(step), { step, steps, start, mask, sampling });
    yield decoded;
    tokens = decoded.tokens;
  }
}

/** A2: tokens [B, T] from labels; the answer of the last step of `decode`, before masking again. */
export const maskedSample = (...inputs) => [...decode(...inputs)].at(-1).answer;

/** The K + 1 times of sampling, from 1 to 0. */
export const timeGrid = (steps) => range(steps + 1).map((step) => 1 - step / steps);

/**
 * E2: from time t to a time s with less noise, with the guided prediction x̂ = `clean`; the last step returns it.
 *
 * @param {{snrT: number, snrS: number, last: boolean}} at log-SNR at t and at s
 */
export function denoiseStep(diffusion, noisy, clean, noise, { snrT, snrS, last }) {
  const { clip, sampler, variance } = diffusion;
  if (clip !== null) clean = map((x) => Math.min(clip, Math.max(-clip, x)), clean);
  if (last) return clean;
  const [[alphaT, sigmaT], [alphaS, sigmaS]] = [signalAndNoise(snrT), signalAndNoise(snrS)];
  if (sampler === "ddim") return map((x, z) => alphaS * x + (sigmaS * (z - alphaT * x)) / sigmaT, clean, noisy);
  const share = -Math.expm1(snrT - snrS);
  const fraction = { small: 0, large: 1, interpolated: diffusion.variance_fraction }[variance];
  const deviation = sigmaS ** (1 - fraction) * sigmaT ** fraction * Math.sqrt(share);
  const step = (z, x, epsilon) => alphaS * (((1 - share) / alphaT) * z + share * x) + deviation * epsilon;
  return map(step, noisy, clean, noise);
}

/**
 * Yield the samples [B, H, W, C] after each step of denoising, which are clean after the last, and the prediction x̂.
 *
 * @param {Tensor} noisy [B, H, W, C], the initial noise
 * @param {Tensor} labels [B]
 * @param {(step: number) => Tensor} noise standard normal, [B, H, W, C]
 * @param {number[]} loops L of each of the K steps
 */
export function* denoise(parameters, model, diffusion, sampling, noisy, labels, noise, loops) {
  const [B, steps] = [labels.data.length, loops.length];
  const times = timeGrid(steps);
  const snr = times.map((t) => logSnr(t, diffusion));
  for (let step = 0; step < steps; step++) {
    const scale = guidanceScaleAt(step, steps, sampling.guidance_scale, sampling.guidance_schedule);
    const time = tensor(new Float64Array(B).fill(times[step]), [B]);
    const open = (seen) => diffusionNetwork(parameters, model, noisy, time, seen);
    const prediction = guidedForward(open, labels, model.classes, loops[step], scale);
    const clean = toClean(diffusion.prediction, prediction, noisy, Array(B).fill(snr[step]));
    const at = { snrT: snr[step], snrS: snr[step + 1], last: step === steps - 1 };
    noisy = denoiseStep(diffusion, noisy, clean, noise(step), at);
    yield { noisy, clean };
  }
}

/** A2: samples [B, H, W, C] from labels. */
export const diffusionSample = (...inputs) => [...denoise(...inputs)].at(-1).noisy;

// ---- Clips: tubelets as tokens, and a decoding's start from known frames --------------------------------------------

/** clips [B, F, H, W, C] → the nearest code of each tubelet, [B, T] in the order (time, row, column). */
export function encodeClips(clips, codebook, patchFrames, patchSize) {
  const [B, F, H, W, C] = clips.shape;
  const [times, height, width] = [F / patchFrames, H / patchSize, W / patchSize];
  const cut = reshape(clips, [B, times, patchFrames, height, patchSize, width, patchSize, C]);
  const tubelets = reshape(transpose(cut, [0, 1, 3, 5, 2, 4, 6, 7]), [B, times * height * width, 1, -1]);
  const nearness = sum(map((value, code) => -((value - code) ** 2), tubelets, codebook)); // [B, T, V, 1]
  return argmax(reshape(nearness, nearness.shape.slice(0, -1)));
}

/** tokens [B, T] → clips [B, F, H, W, C]; `grid` counts the tubelets in time, rows and columns. */
export function decodeClips(tokens, codebook, [times, height, width], patchFrames, patchSize) {
  const B = tokens.shape[0];
  const codes = rows(codebook, tokens.data, tokens.shape);
  const C = codebook.shape[1] / (patchFrames * patchSize ** 2);
  const cut = reshape(codes, [B, times, height, width, patchFrames, patchSize, patchSize, C]);
  const sides = [B, times * patchFrames, height * patchSize, width * patchSize, C];
  return reshape(transpose(cut, [0, 1, 4, 2, 5, 3, 6, 7]), sides);
}

/** Tokens [B, T] to start a decoding from: the mask where the frames [F] of a tubelet are unknown. */
export function givenFrames(tokens, frames, grid, mask) {
  const [perTubelet, perTime] = [frames.data.length / grid[0], grid[1] * grid[2]];
  const known = tokens.data.map((_, i) => frames.data[Math.floor((i % (grid[0] * perTime)) / perTime) * perTubelet]);
  return map((code, seen) => (seen ? code : mask), tokens, tensor(known, tokens.shape));
}

// ---- Parameters -----------------------------------------------------------------------------------------------------

/**
 * Tensors by name, from the bytes of a safetensors file; ids become Int32Array. A checkpoint with an idea is refused.
 *
 * @param {ArrayBuffer} bytes
 */
export function readSafetensors(bytes) {
  const length = Number(new DataView(bytes).getBigUint64(0, true));
  const { __metadata__, ...header } = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length)));
  if ("idea" in JSON.parse(__metadata__?.elt_ref ?? "{}")) {
    throw new Error("expected a checkpoint of the paper's network, got one that was trained with an idea");
  }
  const kinds = { F64: Float64Array, F32: Float32Array, I64: BigInt64Array, BOOL: Uint8Array };
  const read = ({ dtype, shape, data_offsets: [start, end] }) => {
    const values = new kinds[dtype](bytes.slice(8 + length + start, 8 + length + end));
    return tensor(dtype === "I64" ? Int32Array.from(values, Number) : values, shape);
  };
  return Object.fromEntries(Object.entries(header).map(([name, entry]) => [name, read(entry)]));
}

/**
 * The tensors whose names start with a word, as a tree: `average.block.0.mlp.up.weight` is
 * tree(tensors, "average").block[0].mlp.up.weight.
 */
export function tree(tensors, word) {
  const root = {};
  for (const [name, leaf] of Object.entries(tensors)) {
    const path = name.split(".");
    const last = path.pop();
    let node = root;
    path.forEach((key, depth) => (node = node[key] ??= /^[0-9]+$/.test(path[depth + 1] ?? last) ? [] : {}));
    node[last] = leaf;
  }
  return root[word];
}
