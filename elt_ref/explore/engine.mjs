// What the page computes, with the JavaScript port: it opens runs, samples as elt-ref sample does, and looks inside.

import * as elt from "./elt.mjs";
import * as streams from "./elt_streams.mjs";
import * as wasm from "./elt_wasm.mjs";

elt.kernels.multiply = wasm.simdMultiply() ?? elt.kernels.multiply; // the same bits, sooner

const MOST = 1_000_000; // loops and steps: more is a slip

/** The bytes of a text in base64, inflated. */
async function inflated(text) {
  const deflated = Uint8Array.fromBase64?.(text) ?? bytesOf(atob(text));
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The bytes of a text of bytes, where the browser is too old to decode by itself. */
function bytesOf(letters) {
  const bytes = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place++) bytes[place] = letters.charCodeAt(place);
  return bytes;
}

/** Numbers from their bytes: all first bytes, then all second ones, and so on. */
function joined(bytes, data) {
  const out = new Uint8Array(data.buffer), size = data.BYTES_PER_ELEMENT, count = data.length;
  for (let k = 0, place = 0; k < size; k++) {
    for (let to = k; place < (k + 1) * count; to += size) out[to] = bytes[place++];
  }
  return data;
}

/** A run of the page without its weights: enough to lay out a page and to check requests. */
export function runOf(document) {
  const { model } = document;
  return {
    ...document,
    dtype: elt.DTYPES[document.weights.tensors[0].dtype],
    masked: model.family === "masked",
    tokens: model.grid.reduce((product, side) => product * side, 1),
    grid: model.grid.length === 3 ? model.grid : [1, ...model.grid],
  };
}

/** Give a run its weights, once; then it can sample. */
export const open = (run) => (run.opened ??= readWeights(run));

async function readWeights(run) {
  const bytes = await inflated(run.weights.bytes);
  const tensors = {};
  let place = 0;
  for (const { name, dtype, shape } of run.weights.tensors) {
    const data = new elt.DTYPES[dtype](shape.reduce((product, side) => product * side, 1));
    tensors[name] = elt.tensor(joined(bytes.subarray(place, (place += data.byteLength)), data), shape);
  }
  run.parameters = elt.tree(tensors, "average");
  run.codebook = tensors["codec.codebook"];
}

function integer(what, value, least, most) {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`${what}: expected an integer from ${least} to ${most}, got ${JSON.stringify(value)}`);
}

function number(what, value, least) {
  if (typeof value === "number" && value >= least && value < Infinity) return value;
  throw new RangeError(`${what}: expected a number of at least ${least}, got ${JSON.stringify(value)}`);
}

/** A request with the run's own settings where it names none, checked. */
export function settings(run, request = {}) {
  const { sampling, model, masked } = run;
  const steps = integer("steps", request.steps ?? sampling.steps, 1, MOST);
  const asked = request.loops ?? sampling.loops ?? model.max_loops;
  const loops = Array.isArray(asked) ? asked : Array(steps).fill(asked);
  if (loops.length !== steps) {
    throw new RangeError(`loops: expected one number for each of ${steps} sampling steps, got ${loops.length}`);
  }
  loops.forEach((count) => integer("loops", count, 1, MOST));
  const labels = request.labels ?? run.learned;
  if (!Array.isArray(labels) || !labels.length) {
    throw new RangeError(`labels: expected a list of classes, got ${JSON.stringify(labels)}`);
  }
  labels.forEach((label) => integer("labels", label, 0, model.classes - 1 + Number(model.unconditional_row)));
  const guidance = number("guidance", request.guidance ?? sampling.guidance_scale, 0);
  if (guidance !== 1 && !model.unconditional_row) {
    throw new RangeError(`guidance: expected 1, for '${run.name}' has no row for "no class", got ${guidance}`);
  }
  if (!masked && (request.temperature ?? null) !== null) {
    throw new RangeError(`temperature: expected none in the diffusion family, got ${request.temperature}`);
  }
  const temperature = number("temperature", request.temperature ?? sampling.choice_temperature, 0);
  const seed = request.seed ?? 0;
  const whole = typeof seed === "bigint" || Number.isSafeInteger(seed) || /^[0-9]{1,20}$/.test(seed);
  if (!whole || BigInt(seed) < 0n || BigInt(seed) >= 2n ** 64n) {
    throw new RangeError(`seed: expected an integer from 0 to 2^64 - 1, as a text above 2^53, got ${String(seed)}`);
  }
  const start = request.start ?? null;
  if (start !== null && !masked) throw new RangeError("start: expected none in the diffusion family, got tokens");
  if (start !== null && (start.length !== labels.length || start.some((row) => row.length !== run.tokens))) {
    throw new RangeError(`start: expected [${labels.length}, ${run.tokens}] tokens, got others`);
  }
  start?.flat().forEach((token) => token === elt.maskToken(model) || integer("start", token, 0, model.codebook_size - 1));
  return { steps, loops, labels, guidance, temperature, seed: BigInt(seed), start: start ?? undefined };
}

const ids = (rows, shape) => elt.tensor(Int32Array.from(rows), shape);
const NOISE = new Map(); // of the last few steps: all runs and all loops of a request start from the same
const MOST_KEPT = 64;

/** The noise of a row at a step; every run of the same shape shares it. `step` -1 is the noise at t = 1. */
function noiseOf({ model, dtype, masked }, { seed }, step, b) {
  const key = JSON.stringify([String(seed), step, model.grid, model.shape, model.codebook_size, dtype.name]);
  if (!NOISE.has(key)) {
    if (NOISE.size >= MOST_KEPT) NOISE.delete(NOISE.keys().next().value);
    const draw = masked ? streams.decodeNoise : step < 0 ? streams.initialNoise : streams.stepNoise;
    const next = step < 0 ? draw(model, seed, dtype) : draw(model, seed, step, dtype);
    NOISE.set(key, { next, rows: [] });
  }
  const { next, rows } = NOISE.get(key);
  while (rows.length <= b) rows.push(next(1));
  return rows[b];
}

const samplingOf = (run, wanted) =>
  ({ ...run.sampling, guidance_scale: wanted.guidance, choice_temperature: wanted.temperature });

/**
 * Yield what each sampling step of one label saw and made: {before, answer, after, logP}. In the masked family tokens
 * [1, T], of which `answer` has no mask; in the diffusion family samples, and `answer` is the prediction of the clean one.
 *
 * @param {object} wanted as from `settings`
 * @param {number} b place of the label, which has the noise of this row
 */
export function* trace(run, wanted, b) {
  const { model, parameters } = run;
  const own = samplingOf(run, wanted), labels = ids([wanted.labels[b]], [1]);
  const noise = (step) => noiseOf(run, wanted, step, b);
  if (run.masked) {
    let before = wanted.start === undefined ? elt.maskedStart(model, 1) : ids(wanted.start[b], [1, run.tokens]);
    for (const { tokens: after, answer, logP } of elt.decode(parameters, model, own, before, labels, noise, wanted.loops)) {
      yield { before, answer, after, logP };
      before = after;
    }
  } else {
    let before = noise(-1);
    for (const { noisy, clean } of elt.denoise(parameters, model, run.diffusion, own, before, labels, noise, wanted.loops)) {
      yield { before, answer: clean, after: noisy, logP: null };
      before = noisy;
    }
  }
}

/** What the last step of a trace made. */
export const result = (run, step) => (run.masked ? step.answer : step.after);

/** The rows of a tensor as nested lists. */
function nested({ data, shape }) {
  if (shape.length === 1) return Array.from(data);
  return Array.from({ length: shape[0] }, (_, k) => nested(elt.entry({ data, shape }, k)));
}

/** {tokens} [B, T] of a masked run or {samples} [B, H, W, C] of a diffusion run, as elt_ref.sample draws them. */
export function sample(run, request) {
  const wanted = settings(run, request);
  const values = wanted.labels.flatMap((_, b) => nested(result(run, [...trace(run, wanted, b)].at(-1))));
  return run.masked ? { tokens: values } : { samples: values };
}

const norm = (data) => Math.sqrt(data.reduce((total, value) => total + value * value, 0));

/**
 * One row of a step again, loop by loop.
 *
 * @param {Tensor} before [1, ...] what the step saw
 * @returns {{update: number, answer: Tensor, attention: Tensor[]}[]} for each of 1 … `most` loops: the norm of what the
 *   loop changed over that of the state, what the step would answer after it, and each layer's weights [1, h, n, n]
 */
export function lookInside(run, wanted, { step, before, b, most }) {
  const { model, parameters } = run;
  const label = ids([wanted.labels[b]], [1]), none = ids([model.classes], [1]);
  const own = samplingOf(run, wanted);
  const scale = elt.guidanceScaleAt(step, wanted.steps, own.guidance_scale, own.guidance_schedule);
  const time = elt.tensor(Float64Array.of(elt.timeGrid(wanted.steps)[step]), [1]);
  const open = (seen) =>
    run.masked
      ? elt.maskedNetwork(parameters, model, before, seen)
      : elt.diffusionNetwork(parameters, model, before, time, seen);
  const networks = (scale === 1 ? [label] : scale === 0 ? [none] : [label, none]).map(open);
  const states = networks.map((network) => network.state);
  return Array.from({ length: most }, () => {
    const old = states[0];
    const attention = [];
    networks.forEach((network, branch) => {
      const see = branch === 0 ? (weights) => attention.push(weights) : undefined;
      for (const layer of network.block) states[branch] = layer(states[branch], see);
    });
    const predictions = networks.map((network, branch) => network.head(states[branch]));
    const prediction = predictions.length === 1 ? predictions[0] : elt.guide(...predictions, scale);
    const update = norm(states[0].data.map((value, k) => value - old.data[k])) / norm(states[0].data);
    return { update, answer: answerOf(run, wanted, own, { step, before, b, prediction, time }), attention };
  });
}

function answerOf(run, wanted, own, { step, before, b, prediction, time }) {
  if (!run.masked) return elt.toClean(run.diffusion.prediction, prediction, before, [elt.logSnr(time.data[0], run.diffusion)]);
  const mask = elt.maskToken(run.model);
  const at = { step, steps: wanted.steps, start: [run.tokens], mask, sampling: own };
  return elt.decodeStep(prediction, before, noiseOf(run, wanted, step, b), at).answer;
}

/** Pictures [F, H, W, C] in 0 … 1 of tokens [1, T] or a sample, one frame for a still; a mask is drawn as code 0. */
export function frames(run, values) {
  if (!run.codec) return elt.map((value) => (value + 1) / 2, values);
  const known = elt.map((token) => (token < run.model.codebook_size ? token : 0), values);
  const clip = elt.decodeClips(known, run.codebook, run.grid, run.codec.patch_frames, run.codec.patch_size);
  return elt.entry(clip, 0);
}

export const isMask = (run, token) => token >= run.model.codebook_size;
export const maskOf = (run) => elt.maskToken(run.model);
