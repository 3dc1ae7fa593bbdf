/**
 * The matrix product of elt.mjs in WebAssembly: the same bits in a fraction of the time.
 *
 *     kernels.multiply = simdMultiply() ?? kernels.multiply;
 *
 * It adds what the product in JavaScript adds, in the same order and in float64, but two columns at a time, in the lanes
 * of a vector. Nothing is compiled beforehand: this file writes the module's bytes from the instructions below.
 *
 * Source: the WebAssembly specification 2.0, sections 5.4 (instructions) and 5.5 (modules).
 */

// ---- The instructions -----------------------------------------------------------------------------------------------

const ROWS = [0, 1, 2, 3], PAIRS = [0, 1]; // a tile: four rows, two pairs of columns
const each = (over, text) => over.map(text).join("\n");

/**
 * out = a [n, k] b [k, m] + start [m] in tiles of 4 × 4 sums, all in one memory. `panel` has room for four rows of `a` in
 * float64, column by column. Tiles at an edge reach past it: rows go down and columns from right to left, so that what a
 * row writes into the next one is written again.
 *
 * @param {4 | 8} size bytes of a number: float32 or float64
 */
function product(size) {
  const number = size === 4 ? "f32.load 0 f64.promote_f32" : "f64.load 0";
  const pair = (at) => (size === 4 ? `v128.load64_zero ${2 * size * at} f64x2.promote_low_f32x4` : `v128.load ${2 * size * at}`);
  const store = (at) => (size === 4 ? `f32x4.demote_f64x2_zero v128.store64_lane ${2 * size * at} 0` : `v128.store ${2 * size * at}`);
  const address = (base, index) => `local.get ${base} local.get ${index} i32.const ${size} i32.mul i32.add`;
  const step = (name, by) => `local.get ${name} ${by} i32.add local.set ${name}`;
  const bytes = (count) => `local.get ${count} i32.const ${size} i32.mul`;
  return {
    takes: ["panel", "start", "b", "a", "out", "rows", "inner", "columns"], // addresses, then counts
    numbers: ["column", "k", "from", "to"],
    vectors: ["value", "b0", "b1", ...ROWS.flatMap((row) => PAIRS.map((at) => `sum${row}${at}`))],
    code: `
      loop
        local.get panel local.set to
        i32.const 0 local.set k
        loop
          ${address("a", "k")} local.set from
          ${each(ROWS, (row) => `
            local.get to local.get from ${number} f64.store ${8 * row}
            ${step("from", bytes("inner"))}`)}
          ${step("to", "i32.const 32")}
          local.get k i32.const 1 i32.add local.tee k local.get inner i32.lt_s br_if 0
        end

        local.get columns i32.const 1 i32.sub i32.const -4 i32.and local.set column
        loop
          ${each(PAIRS, (at) => `${address("start", "column")} ${pair(at)} ${each(ROWS, (row) => `local.tee sum${row}${at}`)} drop`)}
          local.get panel local.set from
          ${address("b", "column")} local.set to
          local.get inner local.set k
          loop
            ${each(PAIRS, (at) => `local.get to ${pair(at)} local.set b${at}`)}
            ${each(ROWS, (row) => `
              local.get from v128.load64_splat ${8 * row} local.set value
              ${each(PAIRS, (at) => `
                local.get sum${row}${at} local.get value local.get b${at} f64x2.mul f64x2.add local.set sum${row}${at}`)}`)}
            ${step("from", "i32.const 32")}
            ${step("to", bytes("columns"))}
            local.get k i32.const 1 i32.sub local.tee k br_if 0
          end
          ${address("out", "column")} local.set to
          ${each(ROWS, (row) => `
            ${each(PAIRS, (at) => `local.get to local.get sum${row}${at} ${store(at)}`)}
            ${step("to", bytes("columns"))}`)}
          local.get column i32.const 4 i32.sub local.tee column i32.const 0 i32.ge_s br_if 0
        end

        ${each(ROWS, () => `${step("a", bytes("inner"))} ${step("out", bytes("columns"))}`)}
        local.get rows i32.const 4 i32.sub local.tee rows i32.const 0 i32.gt_s br_if 0
      end`,
  };
}

// ---- The module's bytes ---------------------------------------------------------------------------------------------

const OPCODES = {
  "loop": [0x03, 0x40], "br_if": [0x0d], "end": [0x0b], "drop": [0x1a],
  "local.get": [0x20], "local.set": [0x21], "local.tee": [0x22],
  "i32.const": [0x41], "i32.add": [0x6a], "i32.sub": [0x6b], "i32.mul": [0x6c], "i32.and": [0x71],
  "i32.lt_s": [0x48], "i32.gt_s": [0x4a], "i32.ge_s": [0x4e],
  "f32.load": [0x2a, 0], "f64.load": [0x2b, 0], "f64.store": [0x39, 0], "f64.promote_f32": [0xbb], // 0: no alignment
  "v128.load": [0xfd, 0x00, 0], "v128.load64_splat": [0xfd, 0x0a, 0], "v128.load64_zero": [0xfd, 0x5d, 0],
  "v128.store": [0xfd, 0x0b, 0], "v128.store64_lane": [0xfd, 0x5b, 0],
  "f32x4.demote_f64x2_zero": [0xfd, 0x5e], "f64x2.promote_low_f32x4": [0xfd, 0x5f],
  "f64x2.add": [0xfd, 0xf0, 0x01], "f64x2.mul": [0xfd, 0xf2, 0x01],
};
const [I32, V128, FUNCTION] = [0x7f, 0x7b, 0x60];

/** A whole number from −2⁶ to 2¹³ − 1 in LEB128, seven bits a byte. */
const leb = (value) => (value < 64 ? [value & 0x7f] : [(value & 0x7f) | 0x80, value >> 7]);
const vector = (entries) => [...leb(entries.length), ...entries.flat()];
const sized = (bytes) => [...leb(bytes.length), ...bytes];

/** A function's instructions as bytes: each word is an instruction, the name of a local, or a number. */
function assemble({ takes, numbers, vectors, code }) {
  const locals = [...takes, ...numbers, ...vectors];
  const bytes = code.trim().split(/\s+/).flatMap((word) =>
    OPCODES[word] ?? leb(locals.includes(word) ? locals.indexOf(word) : Number(word)));
  const kinds = [[...leb(numbers.length), I32], [...leb(vectors.length), V128]];
  return sized([...vector(kinds), ...bytes, ...OPCODES.end]);
}

/** A module with these functions, by name, and a memory that it imports. */
function moduleOf(functions) {
  const text = (word) => sized([...new TextEncoder().encode(word)]);
  const all = Object.values(functions);
  const sections = [
    [1, vector(all.map(({ takes }) => [FUNCTION, ...vector(takes.map(() => [I32])), ...vector([])]))],
    [2, vector([[...text("js"), ...text("memory"), 2, 0, ...leb(0)]])],
    [3, vector(all.map((_, type) => leb(type)))],
    [7, vector(Object.keys(functions).map((name, index) => [...text(name), 0, ...leb(index)]))],
    [10, vector(all.map(assemble))],
  ];
  return Uint8Array.from([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...sections.flatMap(([id, bytes]) => [id, ...sized(bytes)])]);
}

// ---- The product ----------------------------------------------------------------------------------------------------

const PAGE = 65536; // bytes by which a memory grows

/** `multiply` of elt.mjs, or null where there is no WebAssembly with vectors. */
export function simdMultiply() {
  const bytes = moduleOf({ Float32Array: product(4), Float64Array: product(8) });
  if (!globalThis.WebAssembly?.validate(bytes)) return null;
  const memory = new WebAssembly.Memory({ initial: 0 });
  const products = new WebAssembly.Instance(new WebAssembly.Module(bytes), { js: { memory } }).exports;
  let [held, views] = [0, {}]; // bytes of the memory, and all of it as numbers
  const reserve = (size) => {
    if (size <= held) return;
    memory.grow(Math.ceil((size - held) / PAGE));
    held = memory.buffer.byteLength;
    views = { Float64Array: new Float64Array(memory.buffer), Float32Array: new Float32Array(memory.buffer) };
  };
  return (a, b, start, out, rows, inner, columns) => {
    const [kind, size] = [b.constructor.name, b.BYTES_PER_ELEMENT];
    const first = (32 * inner) / size, atB = first + columns, atA = atB + b.length, atOut = atA + rows * inner;
    const edge = Math.max(4 * inner, 4 * columns + 4); // what the last tiles read and write past the end
    reserve((atOut + rows * columns + edge) * size);
    const numbers = views[kind];
    numbers.set(start, first);
    numbers.set(b, atB);
    numbers.set(a, atA);
    products[kind](0, first * size, atB * size, atA * size, atOut * size, rows, inner, columns);
    out.set(numbers.subarray(atOut, atOut + rows * columns));
  };
}
