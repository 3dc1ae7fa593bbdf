// How the page draws: elements, pictures and clips on canvases, and boards of tokens.

const FRAMES_A_SECOND = 6;

/** An element with attributes, listeners (on…) and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value;
    else element.setAttribute(name.replaceAll("_", "-"), value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const PLAYING = new Map(); // canvases that show clips, with their pictures
let now = 0; // frame

/** Show a frame of pictures [F, H, W, C] in 0 … 1 on a canvas of as many pixels; style sheets enlarge it. */
function paint(canvas, { data, shape: [F, H, W, C] }) {
  if (canvas.width !== W || canvas.height !== H) [canvas.width, canvas.height] = [W, H];
  const context = canvas.getContext("2d");
  const image = context.createImageData(W, H);
  const first = (now % F) * H * W * C;
  for (let pixel = 0; pixel < H * W; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      image.data[4 * pixel + channel] = Math.round(255 * data[first + pixel * C + (C === 3 ? channel : 0)]);
    }
    image.data[4 * pixel + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** Show pictures on a canvas; more than one frame plays. */
export function show(canvas, frames) {
  if (frames.shape[0] > 1) PLAYING.set(canvas, frames);
  else PLAYING.delete(canvas);
  paint(canvas, frames);
}

/** Play all clips that are on the page, or stop. */
export const clips = {
  timer: null,
  play() {
    this.timer ??= setInterval(() => {
      now++;
      for (const [canvas, frames] of PLAYING) canvas.isConnected ? paint(canvas, frames) : PLAYING.delete(canvas);
    }, 1000 / FRAMES_A_SECOND);
  },
  stop() {
    clearInterval(this.timer);
    this.timer = null;
  },
};

/** The frames of one time of tokens; all of them where the tokens have no time. */
function framesOfTime({ data, shape: [F, ...sides] }, times, time) {
  const [few, size] = [F / times, sides.reduce((product, side) => product * side, 1)];
  return { data: data.subarray(time * few * size, (time + 1) * few * size), shape: [few, ...sides] };
}

/**
 * A board: a picture, or one for each time of a clip, under a grid of cells, one a token.
 *
 * @param {number[]} grid times, rows, columns
 * @param {{label: string, cell: (token: number) => HTMLElement, picture: boolean}} options cells that are buttons can be
 *   reached by arrow keys
 * @returns {{element: HTMLElement, cells: HTMLElement[], show: (frames: Tensor) => void}}
 */
export function board([times, rows, columns], { label, cell, picture = true }) {
  const cells = Array.from({ length: times * rows * columns }, (_, token) => cell(token));
  const canvases = [];
  const slices = Array.from({ length: times }, (_, time) => {
    const canvas = picture ? make("canvas", { aria_hidden: "true" }) : null;
    canvases.push(canvas);
    const own = cells.slice(time * rows * columns, (time + 1) * rows * columns);
    const style = `grid-template-columns:repeat(${columns},1fr);grid-template-rows:repeat(${rows},1fr)`;
    return make("div", { class: "slice", style: `aspect-ratio:${columns}/${rows}` }, canvas, make("div", { class: "cells", style }, ...own));
  });
  const element = make("div", { class: "board", role: "group", aria_label: label }, ...slices);
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  if (cells[0] instanceof HTMLButtonElement) {
    cells.forEach((each, token) => (each.tabIndex = token ? -1 : 0));
    element.addEventListener("keydown", (event) => {
      const at = cells.indexOf(event.target), to = at + steps[event.key];
      if (at < 0 || !(to >= 0 && to < cells.length)) return;
      event.preventDefault();
      cells.forEach((each) => (each.tabIndex = -1));
      cells[to].tabIndex = 0;
      cells[to].focus();
    });
  }
  return {
    element,
    cells,
    show: (frames) => canvases.forEach((canvas, time) => show(canvas, framesOfTime(frames, times, time))),
  };
}

/** Let the browser draw and listen before the work goes on. */
export function breathe() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
