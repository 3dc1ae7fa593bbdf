// The page: its controls, and the parts that follow them.

import * as engine from "./engine.mjs";
import * as draw from "./draw.mjs";

const { board, breathe, clips, make, show } = draw;
const MOST_WORDS = 25; // tokens: more cells are too small for numbers
const mostDrawn = ({ tokens }) => (tokens > MOST_WORDS ? 4 : 10); // classes at first: more tokens take ten times as long
const STEP_TIME = 450; // milliseconds

const $ = (id) => document.getElementById(id);
const documents = JSON.parse($("runs").textContent);
const still = matchMedia("(prefers-reduced-motion: reduce)");
export const all = documents.map(engine.runOf);

/** Which runs can be compared: those of the same data and network. */
const groupOf = ({ data, model, codec, classes }) => JSON.stringify([data, model, codec, classes]);
const groups = [...new Set(documents.map(groupOf))];

const state = { labels: [], erased: new Set() };
let runs = []; // those of the group that is shown
let traces = []; // what each of them did: for each class, step by step
let parts = {}; // elements of the group, made once

const first = () => runs[0];
const label = (run) => (run.name === "ilsd" ? "ILSD" : run.name);
const most = () => 2 * first().model.max_loops;
const className = (id) => first().classes[id] ?? "none";
const moves = () => first().grid[0] > 1 || (first().codec?.patch_frames ?? 1) > 1;
const noun = () => (moves() ? "clip" : "picture");

const request = () => ({
  loops: state.loops,
  steps: state.steps,
  guidance: state.guidance,
  ...(first().masked ? { temperature: state.temperature } : {}),
  labels: state.labels,
  seed: state.seed,
});

// ---- Work: parts that no longer fit the controls are drawn again, in this order, and give way to newer wishes --------

const ORDER = { gallery: drawGallery, inside: drawInside, every: drawEvery, fills: drawFills };
const stale = new Set();
let turn = 0, working = false;

function renew(...names) {
  names.forEach((name) => stale.add(name));
  turn++;
  describe();
  if (!working) queueMicrotask(work); // after all that is laid out now
  working = true;
}

async function work() {
  try {
    while (stale.size) {
      const mine = turn;
      const alive = () => mine === turn;
      for (const [name, redraw] of Object.entries(ORDER)) {
        if (!stale.has(name)) continue;
        await redraw(alive);
        if (!alive()) break;
        stale.delete(name);
      }
    }
  } catch (error) {
    stale.clear();
    trouble(error);
  } finally {
    working = false;
  }
}

/** Whether the page shows what its controls say. */
export const settled = () => !working;

function trouble(error) {
  $("trouble").textContent = `The page stopped: ${error.message}.`;
  $("trouble").hidden = false;
}

// ---- Every model, from the same noise --------------------------------------------------------------------------------

/** A picture that can be pressed. */
function tile(name, { onclick, spoken, beyond = false }) {
  const canvas = make("canvas", { aria_hidden: "true" });
  const button = make("button", { type: "button", class: beyond ? "tile beyond" : "tile", aria_label: spoken, onclick },
    canvas, make("span", { class: "name", aria_hidden: "true" }, name));
  return { button, canvas };
}

/** A row of tiles for each run. */
function tileRows(container, count, makeTile) {
  const rows = runs.map((run, number) => {
    const tiles = Array.from({ length: count }, (_, k) => makeTile(run, k));
    const status = make("p", { class: "status" });
    const columns = `--columns:${count};--half:${Math.ceil(count / 2)}`;
    container.append(
      make("div", { class: `model-${number}` },
        make("div", { class: "rowhead" }, make("h3", {}, label(run)), status),
        make("div", { class: count > 6 ? "tiles many" : "tiles", style: columns, role: "group", aria_label: label(run) }, ...tiles.map((each) => each.button))),
    );
    return { tiles, status };
  });
  return rows;
}

function layGallery() {
  $("gallery").replaceChildren();
  parts.gallery = tileRows($("gallery"), state.labels.length, (run, b) =>
    tile(className(state.labels[b]), {
      spoken: `${label(run)}, class ${className(state.labels[b])}: look inside`,
      onclick: () => {
        state.chosen = b;
        renew("inside", "every", "fills");
      },
    }));
}

/** Picture by picture, so that the first stand soon and a newer wish waits for no more than a step. */
async function drawGallery(alive) {
  const fresh = runs.map((run) => ({ run, wanted: engine.settings(run, request()), made: [], spent: 0 }));
  parts.gallery.forEach(({ tiles }) => tiles.forEach(({ button }) => button.classList.add("wait")));
  for (let b = 0; b < state.labels.length; b++) {
    for (const [number, each] of fresh.entries()) {
      await engine.open(each.run);
      if (!alive()) return;
      const { tiles, status } = parts.gallery[number];
      each.made.push([]);
      for (const steps = engine.trace(each.run, each.wanted, b); ; ) {
        const started = performance.now();
        const { value: made, done } = steps.next();
        if (done) break;
        each.spent += performance.now() - started;
        each.made[b].push(made);
        const last = each.made[b].length === state.steps;
        show(tiles[b].canvas, engine.frames(each.run, last ? engine.result(each.run, made) : made.answer));
        if (last && b === 0 && number === 0) performance.mark("first picture");
        await breathe();
        if (!alive()) return;
      }
      tiles[b].button.classList.remove("wait");
      status.textContent = `${Math.max(1, Math.round(each.spent / (b + 1)))} ms a ${noun()}`;
    }
  }
  traces = fresh;
  const many = state.labels.length;
  $("status").textContent = `${runs.length * many} ${noun()}s drawn with L = ${state.loops}.`;
  performance.mark("gallery drawn");
}

// ---- One sample at every number of loops -----------------------------------------------------------------------------

function layEvery() {
  $("every").replaceChildren();
  parts.every = tileRows($("every"), most(), (run, k) =>
    tile(`L=${k + 1}`, {
      spoken: `${label(run)} with L = ${k + 1}: use this number of loops`,
      beyond: k + 1 > run.model.max_loops,
      onclick: () => setLoops(k + 1),
    }));
}

async function drawEvery(alive) {
  const only = Math.min(state.chosen, state.labels.length - 1);
  for (let loops = 1; loops <= most(); loops++) {
    for (const [number, run] of runs.entries()) {
      let made;
      for (made of engine.trace(run, engine.settings(run, { ...request(), loops }), only)) {
        await breathe();
        if (!alive()) return;
      }
      show(parts.every[number].tiles[loops - 1].canvas, engine.frames(run, engine.result(run, made)));
    }
  }
}

// ---- Inside one sample -----------------------------------------------------------------------------------------------

/** A board without buttons, with its caption. */
function figure(grid, name, options) {
  const own = board(grid, { label: name, cell: () => make("div", { class: "cell", aria_hidden: "true" }), ...options });
  const caption = make("figcaption");
  return { ...own, caption, figure: make("figure", {}, own.element, caption) };
}

function layInside() {
  const { grid, masked } = first();
  $("inside").replaceChildren();
  parts.inside = runs.map((run, number) => {
    const choose = (token) => () => {
      state.token = token;
      renew("inside");
    };
    const seen = figure(grid, `${label(run)}: choose a token, arrow keys move`, {
      cell: (token) => make("button", { type: "button", class: "cell", onclick: choose(token) }),
    });
    const second = figure(grid, masked ? "confidence of each token" : "prediction of the clean picture", { picture: !masked });
    const attention = figure(grid, "attention of the chosen token", { picture: false });
    const columns = Array.from({ length: most() }, (_, k) => {
      const canvas = make("canvas", { aria_hidden: "true" });
      const bar = make("i"), value = make("span", { class: "number" });
      const onclick = () => setLoop(k + 1);
      const button = make("button", { type: "button", class: k + 1 > run.model.max_loops ? "column beyond" : "column", onclick },
        canvas, make("span", { class: "bar", aria_hidden: "true" }, bar), value, make("span", { class: "name" }, `${k + 1}`));
      return { canvas, bar, value, button };
    });
    const style = `grid-template-columns:repeat(${most()},minmax(0,1fr))`;
    const strip = make("ol", { class: "loops", style, aria_label: `${label(run)}, loop by loop` },
      ...columns.map(({ button }) => make("li", {}, button)));
    $("inside").append(
      make("div", { class: `card model-${number}` },
        make("h3", {}, label(run)),
        make("div", { class: grid[0] > 2 ? "boards long" : "boards" }, seen.figure, second.figure, attention.figure),
        strip,
        make("p", { class: "small" }, "Answer of this step after each loop ℓ, and the norm of the loop's update, ‖x",
          make("sub", {}, "ℓ"), " − x", make("sub", {}, "ℓ−1"), "‖ / ‖x", make("sub", {}, "ℓ"), "‖.")),
    );
    return { seen, second, attention, columns };
  });
}

/** The step at which each token was drawn for good, up to a step, and its probability then. */
function confidences(run, steps, last) {
  return Array.from({ length: run.tokens }, (_, token) => {
    for (let step = last; step >= 0; step--) {
      const { before, logP } = steps[step];
      if (engine.isMask(run, before.data[token])) return { step, p: Math.exp(logP.data[token]) };
    }
    return { step: -1, p: 1 };
  });
}

const percent = (share) => `${Math.round(100 * share)}`;
const words = (run, share) => (run.tokens <= MOST_WORDS ? percent(share) : ""); // in a cell
const unit = (run) => (run.tokens <= MOST_WORDS ? ", in per cent" : "");

function heat(cell, share, words) {
  cell.className = "cell heat";
  cell.style.setProperty("--heat", share.toFixed(3));
  cell.textContent = words;
}

async function drawInside(alive) {
  const b = Math.min(state.chosen, state.labels.length - 1), step = state.step - 1;
  for (const [number, { run, wanted, made: { [b]: steps } }] of traces.entries()) {
    const made = steps[step];
    const inside = engine.lookInside(run, wanted, { step, before: made.before, b, most: most() });
    const { seen, second, attention, columns } = parts.inside[number];
    const done = step === steps.length - 1;
    const after = done ? engine.result(run, made) : made.after;
    seen.show(engine.frames(run, after));
    const told = run.masked ? confidences(run, steps, step) : null;
    seen.cells.forEach((cell, token) => {
      const masked = run.masked && engine.isMask(run, after.data[token]);
      const fresh = run.masked && !masked && engine.isMask(run, made.before.data[token]);
      cell.className = ["cell", masked && "masked", fresh && "new", token === state.token && "chosen"].filter(Boolean).join(" ");
      cell.setAttribute("aria-pressed", token === state.token);
      cell.setAttribute("aria-label", spokenToken(run, token, { masked, id: after.data[token], told: told?.[token] }));
    });
    if (run.masked) {
      told.forEach(({ p }, token) => heat(second.cells[token], p, words(run, p)));
      seen.caption.textContent = "Tokens kept; framed: new; hatched: masked again";
      second.caption.textContent = `Confidence of each token${unit(run)}`;
    } else {
      second.show(engine.frames(run, made.answer));
      seen.caption.textContent = done ? "The result" : "Sample after this step";
      second.caption.textContent = "Prediction of the clean picture";
    }
    drawAttention(run, inside, attention);
    const tallest = Math.max(...inside.map(({ update }) => update));
    inside.forEach(({ answer, update }, k) => {
      const { canvas, bar, value, button } = columns[k];
      show(canvas, engine.frames(run, answer));
      bar.style.height = `${(100 * update) / (tallest || 1)}%`;
      value.textContent = update.toFixed(2);
      button.setAttribute("aria-pressed", k + 1 === state.loop);
      button.setAttribute("aria-label", `after loop ${k + 1}: update of ${update.toFixed(3)}`);
    });
    await breathe();
    if (!alive()) return;
  }
}

function spokenToken(run, token, { masked, id, told }) {
  const [, rows, columns] = run.grid;
  const place = `row ${(Math.floor(token / columns) % rows) + 1}, column ${(token % columns) + 1}`;
  const time = run.grid[0] > 1 ? `time ${Math.floor(token / rows / columns) + 1}, ` : "";
  if (!run.masked) return `${time}${place}`;
  const confidence = `confidence ${percent(told.p)} per cent`;
  return `${time}${place}: ${masked ? "masked" : `code ${id}`}, ${confidence}`;
}

function drawAttention(run, inside, { cells, caption }) {
  const { attention } = inside[state.loop - 1];
  const { data, shape: [, heads, n] } = attention[state.layer];
  const query = state.token + n - run.tokens; // the class token comes first in the masked family
  const chosen = state.head === null ? [...Array(heads).keys()] : [state.head];
  const shares = Array.from({ length: n }, (_, key) =>
    chosen.reduce((total, head) => total + data[(head * n + query) * n + key] / chosen.length, 0));
  const tokens = shares.slice(n - run.tokens);
  const largest = Math.max(...tokens);
  tokens.forEach((share, token) => {
    heat(cells[token], share / largest, words(run, share));
    if (token === state.token) cells[token].classList.add("chosen");
  });
  const rest = run.masked ? `; to the class ${percent(shares[0])} %` : "";
  caption.textContent = `Where the chosen token looks in loop ${state.loop}${unit(run)}${rest}`;
}

// ---- Erase and fill in -----------------------------------------------------------------------------------------------

function layFills() {
  const run = first();
  $("paint-section").hidden = !run.masked;
  if (!run.masked) return;
  let brush = null; // whether the pointer erases or restores
  const toggle = (token, erase) => {
    if (erase) state.erased.add(token);
    else state.erased.delete(token);
    renew("fills");
  };
  const source = board(run.grid, {
    label: `Erase tokens: arrow keys move, space erases or restores`,
    cell: (token) => make("button", { type: "button", class: "cell", onkeydown: (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      toggle(token, !state.erased.has(token));
    } }),
  });
  const under = (event) => source.cells.indexOf(document.elementFromPoint(event.clientX, event.clientY));
  source.element.addEventListener("pointerdown", (event) => {
    const token = under(event);
    if (token < 0) return;
    brush = !state.erased.has(token);
    toggle(token, brush);
  });
  source.element.addEventListener("pointermove", (event) => {
    const token = brush === null ? -1 : under(event);
    if (token >= 0 && state.erased.has(token) !== brush) toggle(token, brush);
  });
  window.addEventListener("pointerup", () => (brush = null));
  const spoken = "Picture to erase from";
  const select = make("select", { aria_label: spoken, autocomplete: "off", onchange: () => renew("fills") });
  for (const id of Object.keys(run.examples)) select.append(make("option", { value: `real ${id}` }, `held-out ${className(Number(id))}`));
  runs.forEach((each, number) => select.append(make("option", { value: `drawn ${number}` }, `the sample above, ${label(each)}`)));
  const columns = run.grid[2], set = (name, test) =>
    make("button", { type: "button", onclick: () => {
      state.erased = new Set(source.cells.keys().filter(test));
      renew("fills");
    } }, name);
  $("paint-source").replaceChildren(select, make("p", { class: "small" }), source.element,
    make("div", { class: "actions" }, set("Erase right half", (token) => token % columns >= columns / 2),
      set("Erase all", () => true), set("Restore", () => false)));
  $("paint-results").replaceChildren();
  const fills = runs.map((each, number) => {
    const filled = figure(run.grid, `${label(each)}: filled in`, {});
    $("paint-results").append(make("div", { class: `fill model-${number}` }, make("h3", {}, label(each)), filled.figure));
    return filled;
  });
  parts.fills = { source, select, fills };
  state.erased = new Set(source.cells.keys().filter((token) => token % columns >= columns / 2));
}

/** The class and the tokens to erase from: a held-out picture, or the chosen sample of a run. */
function sourceOf(choice) {
  const [kind, number] = choice.split(" ");
  const b = Math.min(state.chosen, state.labels.length - 1);
  if (kind === "real") return { label: Number(number), source: first().examples[number] };
  return { label: state.labels[b], source: Array.from(traces[number].made[b].at(-1).answer.data) };
}

async function drawFills(alive) {
  if (!first().masked) return;
  const { source, select, fills } = parts.fills;
  const T = first().tokens;
  Object.assign(state, sourceOf(select.value));
  const start = state.source.map((code, token) => (state.erased.has(token) ? engine.maskOf(first()) : code));
  source.show(engine.frames(first(), { data: Int32Array.from(state.source), shape: [1, T] }));
  source.cells.forEach((cell, token) => {
    const erased = state.erased.has(token);
    cell.className = erased ? "cell masked" : "cell";
    cell.setAttribute("aria-pressed", erased);
    cell.setAttribute("aria-label", spokenPlace(token, erased));
  });
  $("paint-source").querySelector("p").textContent = `Class ${className(state.label)}; ${state.erased.size} of ${T} tokens erased.`;
  for (const [number, run] of runs.entries()) {
    const wanted = engine.settings(run, { ...request(), labels: [state.label], start: [start] });
    let made;
    for (made of engine.trace(run, wanted, 0)) {
      await breathe();
      if (!alive()) return;
    }
    fills[number].show(engine.frames(run, made.answer));
    fills[number].cells.forEach((cell, token) => cell.classList.toggle("new", state.erased.has(token)));
    const right = [...state.erased].filter((token) => made.answer.data[token] === state.source[token]).length;
    fills[number].caption.textContent = `${right} of ${state.erased.size} tokens as in the original`;
  }
}

function spokenPlace(token, erased) {
  const [, rows, columns] = first().grid;
  return `row ${(Math.floor(token / columns) % rows) + 1}, column ${(token % columns) + 1}: ${erased ? "erased" : "kept"}`;
}

// ---- Controls and texts ----------------------------------------------------------------------------------------------

function describe() {
  const { model } = first();
  const beyond = state.loops - model.max_loops;
  for (const name of ["loops", "steps", "guidance", "temperature", "step", "loop"]) {
    $(name).value = state[name];
    $(`${name}-now`).value = state[name];
  }
  $("seed").value = state.seed;
  const fewer = state.loops === 1 ? "one pass of the block" : "an early exit, with fewer loops than in training";
  $("loops-place").textContent = beyond > 0 ? "more loops than training ever used" : beyond ? fewer : "the loops of training, L_max";
  $("loops-place").className = beyond > 0 ? "place beyond" : "place";
  const b = Math.min(state.chosen, state.labels.length - 1);
  parts.gallery.forEach(({ tiles }) => tiles.forEach(({ button }, k) => button.setAttribute("aria-pressed", k === b)));
  parts.every.forEach(({ tiles }) => tiles.forEach(({ button }, k) => button.setAttribute("aria-pressed", k + 1 === state.loops)));
  const which = `class ${className(state.labels[b])}`;
  $("every-text").textContent = `The ${noun()} of ${which} from the same noise, with 1 to ${most()} loops at every step. Press one to use its number of loops.`;
  $("inside-text").textContent = first().masked
    ? `How the ${noun()} of ${which} appears: each step predicts every token, keeps the most confident and masks the rest again. Press a token to see where it looks, or another ${noun()} above to change.`
    : `How the ${noun()} of ${which} appears: each step predicts the clean picture and removes a part of the noise. Press a patch to see where it looks, or another picture above to change.`;
  $("again").textContent = runs.map(commandOf).join("\n\n") + "\n\n" + pythonOf(first());
}

/** The command that draws what a run has drawn here. */
function commandOf(run) {
  const temperature = run.masked ? ` --temperature ${state.temperature}` : "";
  return [
    `elt-ref sample ${run.name} --out ${run.name.replaceAll("/", "-")}.${moves() ? "webp" : "png"}`,
    `--loops ${state.loops} --steps ${state.steps} --guidance ${state.guidance}${temperature} --seed ${state.seed}`,
    `--labels ${state.labels.join(",")} --count ${state.labels.length}`,
  ].join(" \\\n    ");
}

/** The calls that do. */
function pythonOf(run) {
  const temperature = run.masked ? `, temperature=${state.temperature}` : "";
  return [
    "from pathlib import Path",
    "import numpy as np",
    "from elt_ref import sample",
    "from elt_ref.run.folder import open_run",
    "from elt_ref.run.sample import with_sampling",
    "",
    `run = open_run(Path("${run.name}"))`,
    `run = with_sampling(run, steps=${state.steps}, guidance_scale=${state.guidance}${temperature})`,
    `labels = np.array([${state.labels.join(", ")}])`,
    `drawn = sample(run.parameters, run.config, labels, seed=${state.seed}, loops=${state.loops}).samples`,
  ].join("\n");
}

function setLoops(loops) {
  state.loops = loops;
  state.loop = Math.min(loops, most());
  renew("gallery", "inside", "fills");
}

function setLoop(loop) {
  state.loop = loop;
  renew("inside");
}

function setSteps(steps) {
  state.steps = steps;
  state.step = Math.min(state.step, steps);
  $("step").max = steps;
  renew("gallery", "inside", "every", "fills");
}

const everything = (change) => (event) => {
  change(event.target);
  renew("gallery", "inside", "every", "fills");
};

function listen() {
  $("loops").addEventListener("input", () => setLoops(Number($("loops").value)));
  $("steps").addEventListener("input", () => setSteps(Number($("steps").value)));
  $("guidance").addEventListener("input", everything(({ value }) => (state.guidance = Number(value))));
  $("temperature").addEventListener("input", everything(({ value }) => (state.temperature = Number(value))));
  $("seed").addEventListener("change", everything(({ value }) => {
    if (/^[0-9]{1,20}$/.test(value) && BigInt(value) < 2n ** 64n) state.seed = BigInt(value).toString();
  }));
  $("new-seed").addEventListener("click", everything(() => (state.seed = String(Math.floor(Math.random() * 1e6)))));
  $("step").addEventListener("input", () => setStep(Number($("step").value)));
  $("loop").addEventListener("input", () => setLoop(Number($("loop").value)));
  $("layer").addEventListener("change", () => {
    state.layer = Number($("layer").value);
    renew("inside");
  });
  $("head").addEventListener("change", () => {
    state.head = $("head").value === "" ? null : Number($("head").value);
    renew("inside");
  });
  $("play-steps").addEventListener("click", playSteps);
  $("play-clips").addEventListener("click", () => playClips(clips.timer === null));
  $("copy").addEventListener("click", async () => {
    const copied = await navigator.clipboard?.writeText($("again").textContent).then(() => true, () => false);
    $("copied").textContent = copied ? "Copied." : "Select the text above to copy it.";
  });
}

function setStep(step) {
  state.step = step;
  renew("inside");
}

let player = null;

function playSteps() {
  const stop = () => {
    clearInterval(player);
    player = null;
    $("play-steps").textContent = "Play";
  };
  if (player !== null) return stop();
  setStep(1);
  $("play-steps").textContent = "Stop";
  player = setInterval(() => (state.step < state.steps ? setStep(state.step + 1) : stop()), STEP_TIME);
}

function playClips(playing) {
  if (playing) clips.play();
  else clips.stop();
  $("play-clips").textContent = playing ? "Stop the clips" : "Play the clips";
}

function layClasses() {
  const ids = first().learned;
  $("classes").replaceChildren(
    ...ids.map((id) =>
      make("button", { type: "button", aria_pressed: String(state.labels.includes(id)), onclick: ({ currentTarget }) => {
        const chosen = new Set(state.labels);
        if (!chosen.delete(id)) chosen.add(id);
        if (!chosen.size) return;
        currentTarget.setAttribute("aria-pressed", chosen.has(id));
        state.labels = ids.filter((each) => chosen.has(each));
        state.chosen = Math.min(state.chosen, state.labels.length - 1);
        layGallery();
        renew("gallery", "inside", "every", "fills");
      } }, className(id))),
  );
}

function layGroups(shown) {
  if (groups.length < 2) return;
  $("groups").replaceChildren(
    ...groups.map((group) => {
      const { data, model } = documents.find((each) => groupOf(each) === group);
      return make("button", { type: "button", aria_pressed: String(group === shown), onclick: () => showGroup(group) },
        `${data}, ${model.family}`);
    }),
  );
}

/** A whole number with its thousands apart. */
const grouped = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, ",");

function layFacts() {
  const facts = {
    "objective": (run) => (run.kind === "ilsd" ? "ILSD: every exit learns" : "vanilla: the last loop alone learns"),
    "data": (run) => run.data,
    "network": ({ model }) => `${model.family}, N = ${model.layers} layers of width ${model.width}, L_max = ${model.max_loops}`,
    "parameters": ({ weights }) => grouped(weights.tensors.filter(({ name }) => name.startsWith("average."))
      .reduce((total, { shape }) => total + shape.reduce((product, side) => product * side, 1), 0)),
    "training": (run) => `${grouped(run.steps)} steps, seed ${run.seed}`,
    ...(runs.some((run) => run.notice) ? { "notice": (run) => run.notice ?? "" } : {}),
  };
  $("facts").replaceChildren(
    make("thead", {}, make("tr", {}, make("td"), ...runs.map((run, number) => make("th", { scope: "col", class: `model-${number}` }, label(run))))),
    make("tbody", {}, ...Object.entries(facts).map(([name, tell]) =>
      make("tr", {}, make("th", { scope: "row" }, name), ...runs.map((run) => make("td", {}, tell(run)))))),
  );
  $("made").textContent = `elt-ref explore ${documents.map(({ name }) => name).join(" ")}`;
}

function showGroup(group) {
  clips.stop();
  runs = all.filter((run) => groupOf(run) === group);
  traces = [];
  const { model, sampling, masked } = first();
  Object.assign(state, {
    loops: Math.min(sampling.loops ?? model.max_loops, most()),
    steps: sampling.steps,
    guidance: sampling.guidance_scale,
    temperature: sampling.choice_temperature,
    seed: state.seed ?? "0",
    labels: first().learned.slice(0, mostDrawn(first())),
    chosen: 0,
    step: Math.ceil(sampling.steps / 2),
    loop: Math.min(sampling.loops ?? model.max_loops, most()),
    token: Math.floor(first().tokens / 2) + Math.floor(first().grid[2] / 2),
    layer: model.layers - 1,
    head: null,
  });
  state.token = Math.min(state.token, first().tokens - 1);
  for (const [id, limit] of Object.entries({ loops: most(), loop: most(), steps: 2 * sampling.steps, step: sampling.steps })) $(id).max = limit;
  $("temperature").max = Math.max(10, 2 * sampling.choice_temperature);
  $("temperature-control").hidden = !masked;
  $("guidance").disabled = !model.unconditional_row;
  $("loops-ticks").replaceChildren(
    ...Array.from({ length: most() }, (_, k) =>
      make("span", { class: k + 1 > model.max_loops ? "beyond" : k + 1 === model.max_loops ? "trained" : null }, `${k + 1}`)),
  );
  $("layer").replaceChildren(...Array.from({ length: model.layers }, (_, k) => make("option", { value: k }, `layer ${k + 1}`)));
  $("layer").value = state.layer;
  $("head").replaceChildren(make("option", { value: "" }, "all heads"),
    ...Array.from({ length: model.heads }, (_, k) => make("option", { value: k }, `head ${k + 1}`)));
  const models = runs.length === 1 ? "A trained model runs" : `${["Two", "Three", "Four"][runs.length - 2]} trained models run`;
  $("lead").textContent = `${models} in this page. Each is one block of ${model.layers} transformer layers, applied L times; training used L = ${model.max_loops}. Turn L, and see which of them can stop early.`;
  if (runs.length === 1) $("lead").textContent = $("lead").textContent.replace("Each is", "It is").replace(", and see which of them can stop early", " and see what stays");
  $("paint-text").textContent = `Draw over the ${noun()} to erase tokens. The models see what is left and the class, and fill in the rest with the loops, steps and noise chosen above.`;
  layGroups(group);
  layClasses();
  layGallery();
  layEvery();
  layInside();
  layFacts();
  $("play-clips").hidden = !moves();
  playClips(moves() && !still.matches);
  layFills();
  renew("gallery", "inside", "every", "fills");
}

// ---- Start -----------------------------------------------------------------------------------------------------------

/** The run that a request names, by name or number; the first by default. */
function named(run = 0) {
  const found = all.find((each) => each.name === run) ?? all[run];
  if (found === undefined) {
    throw new RangeError(`run: expected one of ${all.map(({ name }) => name).join(", ")}, got ${JSON.stringify(run)}`);
  }
  return found;
}

async function start() {
  listen();
  $("app").hidden = false;
  showGroup(groups[0]);
  for (const run of all) await engine.open(run); // the first picture needs one of them
}

const ready = start();
ready.catch(trouble);

/** For tests and consoles: `await elt.ready`, then `elt.sample({run, loops, steps, guidance, labels, seed})`. */
window.elt = {
  ready,
  sample: ({ run, ...request } = {}) => engine.sample(named(run), request),
  runs: documents.map(({ name }) => name),
};
