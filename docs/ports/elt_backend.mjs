/**
 * The JavaScript port as a program that elt_ref's judge can ask: JSON lines on stdin and stdout, tensors in files.
 *
 *     elt-ref conform run --exec "node docs/ports/elt_backend.mjs"
 *
 * An operation takes the call's settings and tensors by name, and returns tensors or plain numbers by name; elt_ref's
 * elt_ref/conformance/backend.py describes them all. Floats are written in the dtype of the question.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

import * as elt from "./elt.mjs";

const SCHEDULE_PRECISION = "float64";

const numbers = (values) => elt.tensor(Float64Array.from(values), [values.length]);
const perStep = (steps, f) => numbers(Array.from({ length: steps }, (_, step) => f(step)));
const perTime = (time, f) => numbers(Array.from(time.data, f));

const maskedNetwork = ({ model, parameters, tokens, labels }) => elt.maskedNetwork(parameters, model, tokens, labels);
const diffusionNetwork = ({ model, parameters, noisy, time, labels }) =>
  elt.diffusionNetwork(parameters, model, noisy, time, labels);

const states = (open) => (inputs) => ({ states: elt.stack([...elt.loopStates(open(inputs), inputs.loops)]) });

/** The state after each layer of each loop, [L, N, B, n, d]. */
const layers = (open) => (inputs) => {
  const all = elt.stack([...elt.layerStates(open(inputs), inputs.loops)]);
  return { layers: elt.reshape(all, [inputs.loops, inputs.model.layers, ...all.shape.slice(1)]) };
};

const ilsd = ({ student_loops: studentLoops, truth_weight: truthWeight, reduction }) =>
  ({ studentLoops, truthWeight, reduction });

/** The terms under the names of the protocol; a vanilla loss has two. */
const terms = ({ total, teacherTruth, studentTruth, distillation }) =>
  studentTruth === undefined
    ? { total, teacher_truth: teacherTruth }
    : { total, teacher_truth: teacherTruth, student_truth: studentTruth, distillation };

const operations = {
  masked_layer: ({ parameters, x, heads, epsilon }) => ({ x: elt.maskedLayer(x, parameters, heads, epsilon) }),
  diffusion_layer: ({ parameters, x, conditioning, heads, epsilon }) =>
    ({ x: elt.diffusionLayer(conditioning, parameters, heads, epsilon)(x) }),
  positions: ({ rows, columns, width }) => ({ positions: elt.positions(rows, columns, width) }),
  time_features: ({ time, width, scale }) => ({ features: elt.timeFeatures(time, width, scale) }),
  patchify: ({ samples, patch_size: size }) => ({ patches: elt.patchify(samples, size) }),
  unpatchify: ({ patches, shape, patch_size: size }) => ({ samples: elt.unpatchify(patches, shape, size) }),

  masked_states: states(maskedNetwork),
  masked_forward: (inputs) => ({ logits: elt.forward(maskedNetwork(inputs), inputs.loops) }),
  masked_layers: layers(maskedNetwork),
  diffusion_states: states(diffusionNetwork),
  diffusion_forward: (inputs) => ({ prediction: elt.forward(diffusionNetwork(inputs), inputs.loops) }),
  diffusion_layers: layers(diffusionNetwork),

  masked_objective: ({ parameters, model, tokens, mask, labels, label_smoothing: labelSmoothing, ...rest }) =>
    terms(elt.maskedLoss(parameters, model, tokens, mask, labels, { labelSmoothing, ...ilsd(rest) })),
  diffusion_objective: ({ parameters, model, diffusion, clean, noise, time, labels, ...rest }) =>
    terms(elt.diffusionLoss(parameters, model, diffusion, clean, noise, time, labels, ilsd(rest))),

  truth_weights: ({ steps }) => ({ weights: perStep(steps, (step) => elt.truthWeightAt(step, steps)) }),
  learning_rates: ({ training }) =>
    ({ rates: perStep(training.steps, (step) => elt.learningRateAt(step, training)) }),
  student_draws: ({ min_loops: least, max_loops: most, count, seed }) => {
    const random = elt.uniforms(seed);
    const draw = () => elt.drawStudentLoops(random.next().value, least, most);
    return { loops: elt.tensor(Int32Array.from({ length: count }, draw), [count]) };
  },
  mask_tokens: ({ ratio, order }) => ({ mask: elt.maskTokens(ratio, order) }),
  drop_labels: ({ labels, draws, rate, classes }) => ({ labels: elt.dropLabels(labels, draws, rate, classes) }),

  log_snr: ({ diffusion, time }) => ({
    log_snr: perTime(time, (t) => elt.logSnr(t, diffusion)),
    derivative: perTime(time, (t) => elt.logSnrDerivative(t, diffusion)),
  }),
  loss_weight: ({ diffusion, time }) => ({ weight: perTime(time, (t) => elt.lossWeight(t, diffusion)) }),
  add_noise: ({ clean, noise, log_snr: snr }) => ({ noisy: elt.addNoise(clean, noise, snr.data) }),
  prediction_target: ({ kind, clean, noise, log_snr: snr }) =>
    ({ target: elt.predictionTarget(kind, clean, noise, snr.data) }),
  to_clean: ({ kind, prediction, noisy, log_snr: snr }) =>
    ({ clean: elt.toClean(kind, prediction, noisy, snr.data) }),
  denoise_step: ({ diffusion, noisy, clean, noise, log_snr_t: snrT, log_snr_s: snrS, last }) =>
    ({ noisy: elt.denoiseStep(diffusion, noisy, clean, noise, { snrT, snrS, last }) }),
  time_grid: ({ steps }) => ({ times: numbers(elt.timeGrid(steps)) }),

  mask_lengths: ({ start, steps }) => {
    let unknown = start.data;
    const lengths = Array.from({ length: steps }, (_, step) => {
      unknown = unknown.map((left, b) => elt.maskLength(start.data[b], left, step, steps, SCHEDULE_PRECISION));
      return elt.tensor(unknown, start.shape);
    });
    return { lengths: elt.stack(lengths) };
  },
  decode_step: ({ logits, tokens, start, token_noise, confidence_noise, step, steps, mask_token: mask, ...rest }) => {
    const noise = { tokens: token_noise, confidence: confidence_noise };
    const sampling = { ...rest, schedule_precision: SCHEDULE_PRECISION };
    const decoded = elt.decodeStep(logits, tokens, noise, { step, steps, start: start.data, mask, sampling });
    return { tokens: decoded.tokens, answer: decoded.answer };
  },
  guide: ({ conditional, unconditional, scale }) => ({ guided: elt.guide(conditional, unconditional, scale) }),
  guidance_scales: ({ scale, steps, schedule }) =>
    ({ scales: perStep(steps, (step) => elt.guidanceScaleAt(step, steps, scale, schedule)) }),
  masked_sample: ({ parameters, model, sampling, tokens, labels, token_noise, confidence_noise, loops }) => {
    const noise = (step) => ({ tokens: elt.entry(token_noise, step), confidence: elt.entry(confidence_noise, step) });
    const own = { ...sampling, schedule_precision: SCHEDULE_PRECISION };
    return { tokens: elt.maskedSample(parameters, model, own, tokens, labels, noise, loops) };
  },
  diffusion_sample: ({ parameters, model, diffusion, sampling, labels, initial_noise: noisy, step_noise, loops }) => {
    const noise = (step) => elt.entry(step_noise, step);
    return { samples: elt.diffusionSample(parameters, model, diffusion, sampling, noisy, labels, noise, loops) };
  },

  encode_clips: ({ clips, codebook, patch_frames: frames, patch_size: size }) =>
    ({ tokens: elt.encodeClips(clips, codebook, frames, size) }),
  decode_clips: ({ tokens, codebook, grid, patch_frames: frames, patch_size: size }) =>
    ({ clips: elt.decodeClips(tokens, codebook, grid, frames, size) }),
  given_frames: ({ tokens, frames, grid, mask_token: mask }) =>
    ({ tokens: elt.givenFrames(tokens, frames, grid, mask) }),
};

/** Answer a call: read its tensors, compute, write the answer. */
function answer({ operation, dtype, settings, inputs, outputs }) {
  const bytes = readFileSync(inputs);
  const tensors = elt.readSafetensors(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const parameters = elt.tree(tensors, "parameters");
  writeFileSync(outputs, safetensors(operations[operation]({ ...settings, ...tensors, parameters }), dtype));
}

/** The bytes of a safetensors file. Floats and plain numbers are written in `dtype`, ids as I64, masks as BOOL. */
function safetensors(results, dtype) {
  const header = {};
  const parts = [];
  let offset = 0;
  for (const [name, result] of Object.entries(results)) {
    const { data, shape } = typeof result === "number" ? elt.tensor(Float64Array.of(result), []) : result;
    const [kind, values] = stored(data, dtype);
    header[name] = { dtype: kind, shape, data_offsets: [offset, (offset += values.byteLength)] };
    parts.push(Buffer.from(values.buffer, values.byteOffset, values.byteLength));
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...parts]);
}

function stored(data, dtype) {
  if (data instanceof Int32Array) return ["I64", BigInt64Array.from(data, BigInt)];
  if (data instanceof Uint8Array) return ["BOOL", data];
  return [{ float64: "F64", float32: "F32" }[dtype], elt.DTYPES[dtype].from(data)];
}

function reply(message) {
  if (message.type === "hello") {
    const [name, version] = ["elt in JavaScript", "0.1.0"];
    const choices = { "sampling.schedule_precision": SCHEDULE_PRECISION };
    const dtypes = Object.keys(elt.DTYPES);
    return { type: "description", name, version, operations: Object.keys(operations), dtypes, choices };
  }
  const { id, operation } = message;
  if (!(operation in operations)) return { type: "reply", id, status: "unsupported", message: `no ${operation}` };
  try {
    answer(message);
    return { type: "reply", id, status: "ok" };
  } catch (error) {
    return { type: "reply", id, status: "error", message: `${error}` };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.type === "bye") break;
  process.stdout.write(`${JSON.stringify(reply(message))}\n`);
}
process.stdin.destroy(); // an open stdin would keep the program alive
