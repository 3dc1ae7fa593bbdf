/**
 * The random streams of elt_ref in JavaScript: a seed gives the numbers that it gives in Python, in any browser.
 *
 *     const { tokens, confidence } = decodeNoise(model, 7, step, kind)(B); // as elt_ref's draw_noise(config, 7, step, B)
 *
 * A stream is named, and a pure function of (seed, name, step), as elt_ref/streams.py says: a Philox counter generator
 * whose key is the first 128 bits of SHA-256("seed/name"), and whose counter's highest word is the step. The generator
 * and its distributions are NumPy's: Philox4x64-10, doubles of 53 bits, Gumbel by inversion, normals by a ziggurat.
 * Words of 64 bits are pairs of 32, the low half first: BigInt would take a hundred times as long.
 *
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011); numpy/random/src/philox/philox.h and
 * numpy/random/src/distributions/distributions.c; Marsaglia and Tsang, "The ziggurat method" (2000); FIPS 180-4.
 */

const range = (length) => Array.from({ length }, (_, index) => index);

// ---- SHA-256 --------------------------------------------------------------------------------------------------------

const PRIMES = range(312).filter((n) => n > 1 && range(n).slice(2).every((divisor) => n % divisor)).slice(0, 64);
/** The first 32 bits of the fraction of a number. */
const fraction = (value) => ((value % 1) * 2 ** 32) | 0;
const rotate = (word, bits) => (word >>> bits) | (word << (32 - bits));

/** SHA-256 of a text of less than 2²⁹ bytes, as eight words of 32 bits. */
export function sha256(text) {
  const bytes = new TextEncoder().encode(text);
  const padded = new DataView(new ArrayBuffer((((bytes.length + 8) >> 6) + 1) << 6));
  bytes.forEach((byte, place) => padded.setUint8(place, byte));
  padded.setUint8(bytes.length, 0x80);
  padded.setUint32(padded.byteLength - 4, bytes.length * 8);
  let state = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
  for (let block = 0; block < padded.byteLength; block += 64) {
    const words = range(16).map((k) => padded.getInt32(block + 4 * k));
    let [a, b, c, d, e, f, g, h] = state;
    for (let k = 0; k < 64; k++) {
      if (k > 15) {
        const [early, late] = [words[k - 15], words[k - 2]];
        const small = rotate(early, 7) ^ rotate(early, 18) ^ (early >>> 3);
        words[k] = (words[k - 16] + words[k - 7] + small + (rotate(late, 17) ^ rotate(late, 19) ^ (late >>> 10))) | 0;
      }
      const choice = (e & f) ^ (~e & g), majority = (a & b) ^ (a & c) ^ (b & c);
      const first = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + choice + fraction(Math.cbrt(PRIMES[k])) + words[k];
      const second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + majority;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
    }
    state = [a, b, c, d, e, f, g, h].map((word, k) => (word + state[k]) | 0);
  }
  return state.map((word) => word >>> 0);
}

// ---- Philox4x64-10 --------------------------------------------------------------------------------------------------

/** Upper half of the product of two words of 32 bits; Math.imul gives the lower one. */
function high(a, b) {
  const a1 = a >>> 16, a0 = a & 0xffff, b1 = b >>> 16, b0 = b & 0xffff;
  const middle = Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16) >>> 0; // below 2³², as is each sum here
  const other = Math.imul(a0, b1) + (middle & 0xffff) >>> 0;
  return Math.imul(a1, b1) + (middle >>> 16) + (other >>> 16) >>> 0;
}

const PRODUCT = new Uint32Array(4);

/** PRODUCT = a b of 64 × 64 bits, the lowest word first; an array of words keeps the lower 32 bits of what it is given. */
function multiply(a0, a1, b0, b1) {
  const second = high(a0, b0) + (Math.imul(a0, b1) >>> 0) + (Math.imul(a1, b0) >>> 0);
  const third = high(a0, b1) + high(a1, b0) + (Math.imul(a1, b1) >>> 0) + Math.floor(second / 2 ** 32);
  PRODUCT[0] = Math.imul(a0, b0);
  PRODUCT[1] = second;
  PRODUCT[2] = third;
  PRODUCT[3] = high(a1, b1) + Math.floor(third / 2 ** 32);
}

const WORDS = 8; // four numbers of 64 bits come at a time

/** A stream of random numbers, as NumPy's Generator(Philox) yields them. */
class Stream {
  #key;
  #counter;
  #round = new Uint32Array(4); // the key of a round
  #block = new Uint32Array(WORDS);
  #used = WORDS;

  /** @param {number[]} key four words of 32 bits; step below 2⁵³ */
  constructor(key, step) {
    this.#key = key;
    this.#counter = Uint32Array.of(0, 0, 0, 0, 0, 0, step, Math.floor(step / 2 ** 32));
  }

  #next() {
    const block = this.#block, key = this.#round;
    key.set(this.#key);
    add(this.#counter, 0, 1, 0);
    block.set(this.#counter);
    for (let round = 0; round < 10; round++) {
      multiply(block[0], block[1], 0xe14c6c93, 0xd2e7470e);
      const l0 = PRODUCT[0], l1 = PRODUCT[1], h0 = PRODUCT[2], h1 = PRODUCT[3];
      multiply(block[4], block[5], 0x95121157, 0xca5a8263);
      block[0] = PRODUCT[2] ^ block[2] ^ key[0], block[1] = PRODUCT[3] ^ block[3] ^ key[1];
      block[2] = PRODUCT[0], block[3] = PRODUCT[1];
      block[4] = h0 ^ block[6] ^ key[2], block[5] = h1 ^ block[7] ^ key[3];
      block[6] = l0, block[7] = l1;
      add(key, 0, 0x7f4a7c15, 0x9e3779b9);
      add(key, 2, 0x84caa73b, 0xbb67ae85);
    }
    this.#used = 0;
  }

  /** The next 64 bits, as [low, high]. */
  bits() {
    if (this.#used === WORDS) this.#next();
    this.#used += 2;
    return [this.#block[this.#used - 2], this.#block[this.#used - 1]];
  }

  /** A uniform number in [0, 1), of 53 bits. */
  uniform() {
    if (this.#used === WORDS) this.#next();
    this.#used += 2;
    return (this.#block[this.#used - 1] * 2 ** 21 + (this.#block[this.#used - 2] >>> 11)) / 2 ** 53;
  }

  /** A standard Gumbel variable. */
  gumbel() {
    let u = 1;
    while (u >= 1) u = 1 - this.uniform();
    return -Math.log(-Math.log(u));
  }

  /** A standard normal number. */
  normal() {
    for (;;) {
      const [low, up] = this.bits();
      const strip = low & 0xff, negative = (low >>> 8) & 1;
      const whole = (up & 0x1fffffff) * 2 ** 23 + (low >>> 9); // bits 9 … 60
      const x = (negative ? -1 : 1) * whole * WIDTHS[strip];
      if (whole < INSIDE[strip]) return x;
      if (strip === 0) {
        for (;;) {
          const beyond = -Math.log1p(-this.uniform()) / TAIL;
          const y = -Math.log1p(-this.uniform());
          if (2 * y > beyond * beyond) return (Math.floor(whole / 256) & 1 ? -1 : 1) * (TAIL + beyond);
        }
      }
      const y = (HEIGHTS[strip - 1] - HEIGHTS[strip]) * this.uniform() + HEIGHTS[strip];
      if (y < Math.exp(-0.5 * x * x)) return x;
    }
  }
}

/** A number of 64 bits at a place of an array of words, plus another. */
function add(words, place, low, up) {
  const sum = words[place] + low;
  words[place] = sum;
  words[place + 1] += up + (sum >= 2 ** 32);
}

// ---- The ziggurat: 256 strips of equal area under exp(−x²/2), the lowest one with the tail --------------------------

const TAIL = 3.6541528853610087963519472518;
const AREA = 0.0049286732339746519;
const [WIDTHS, INSIDE, HEIGHTS] = ziggurat();

/** Width of a strip over 2⁵², how many of 2⁵² steps are inside for certain, and the curve at its right end. */
function ziggurat() {
  const curve = (x) => Math.exp(-0.5 * x * x);
  const ends = [AREA / curve(TAIL), TAIL];
  while (ends.length < 256) ends.push(Math.sqrt(-2 * Math.log(AREA / ends.at(-1) + curve(ends.at(-1)))));
  ends.push(0);
  // NumPy counts the strips from the lowest, 0, and then from the highest, 1, downwards.
  const order = [0, ...range(255).map((k) => 255 - k)];
  return [
    order.map((strip) => ends[strip] / 2 ** 52),
    order.map((strip) => Math.floor((ends[strip + 1] / ends[strip]) * 2 ** 52)),
    order.map((strip) => (strip === 0 ? 1 : curve(ends[strip]))),
  ];
}

// ---- The streams of sampling ----------------------------------------------------------------------------------------

/**
 * The stream of a name at a step.
 *
 * @param {number | bigint | string} seed 0 … 2⁶⁴ − 1; as a bigint or in decimals where it is above 2⁵³
 */
export function stream(seed, name, step = 0) {
  const [w0, w1, w2, w3] = sha256(`${seed}/${name}`);
  const swapped = [w0, w1, w2, w3].map((w) => ((w << 24) | ((w & 0xff00) << 8) | ((w >>> 8) & 0xff00) | (w >>> 24)) >>> 0);
  return new Stream(swapped, step);
}

function filled(kind, shape, draw) {
  const data = new kind(shape.reduce((product, side) => product * side, 1));
  for (let k = 0; k < data.length; k++) data[k] = draw();
  return { data, shape };
}

/**
 * Draw the noise of a step of decoding, as `decode` in elt.mjs takes it: a function returns that of the next B rows.
 *
 * @param {Float32ArrayConstructor | Float64ArrayConstructor} kind
 */
export function decodeNoise(model, seed, step, kind) {
  const T = model.grid.reduce((product, side) => product * side, 1);
  const [tokens, confidence] = ["token_noise", "confidence_noise"].map((name) => stream(seed, name, step));
  return (B) => ({
    tokens: filled(kind, [B, T, model.codebook_size], () => tokens.gumbel()),
    confidence: filled(kind, [B, T], () => confidence.gumbel()),
  });
}

/** Draw the samples at t = 1: a function returns the next B, [B, H, W, C]. */
export function initialNoise(model, seed, kind) {
  const numbers = stream(seed, "initial_noise");
  return (B) => filled(kind, [B, ...model.shape], () => numbers.normal());
}

/** Draw the noise of a step of denoising: a function returns that of the next B samples, [B, H, W, C]. */
export function stepNoise(model, seed, step, kind) {
  const numbers = stream(seed, "step_noise", step);
  return (B) => filled(kind, [B, ...model.shape], () => numbers.normal());
}
