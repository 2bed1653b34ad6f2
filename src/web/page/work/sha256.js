// SHA-256 in plain arithmetic: the browser's own answers one call at a time and asks for a secure context, and here hundreds of
// thousands of short texts are hashed that all begin alike. Source: FIPS 180-4.

const K = new Int32Array(64);
const H0 = new Int32Array(8);
{
  // The first 32 bits of the fractional parts of the roots of the first primes: cube roots for K, square roots for H0.
  const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
  let found = 0;
  for (let n = 2; found < 64; n += 1) {
    let prime = true;
    for (let d = 2; d * d <= n; d += 1) if (n % d === 0) prime = false;
    if (!prime) continue;
    if (found < 8) H0[found] = fraction(Math.sqrt(n));
    K[found] = fraction(Math.cbrt(n));
    found += 1;
  }
}

const w = new Int32Array(64);

/** Takes one block of 64 bytes, at `at` in `bytes`, into `state`. */
export function compress(state, bytes, at) {
  for (let i = 0; i < 16; i += 1) {
    const j = at + 4 * i;
    w[i] = (bytes[j] << 24) | (bytes[j + 1] << 16) | (bytes[j + 2] << 8) | bytes[j + 3];
  }
  for (let i = 16; i < 64; i += 1) {
    const x = w[i - 15];
    const y = w[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

/** Looks for the number after `salt` whose hash is `challenge` (hex), from 0 to `max`; -1 if there is none. */
export function find(salt, challenge, max) {
  const begin = new TextEncoder().encode(salt);
  const whole = begin.length - (begin.length % 64);
  // What all texts have in common is hashed once.
  const common = Int32Array.from(H0);
  for (let at = 0; at < whole; at += 64) compress(common, begin, at);
  const rest = begin.length - whole;
  const wanted = new Int32Array(8);
  for (let i = 0; i < 8; i += 1) wanted[i] = parseInt(challenge.slice(8 * i, 8 * i + 8), 16) | 0;
  const tail = new Uint8Array(128);
  const state = new Int32Array(8);
  for (let number = 0; number <= max; number += 1) {
    const digits = String(number);
    const length = rest + digits.length;
    const blocks = length + 9 > 64 ? 2 : 1;
    tail.fill(0);
    tail.set(begin.subarray(whole), 0);
    for (let i = 0; i < digits.length; i += 1) tail[rest + i] = digits.charCodeAt(i);
    tail[length] = 0x80;
    const bits = 8 * (begin.length + digits.length);
    const end = 64 * blocks;
    tail[end - 4] = bits >>> 24;
    tail[end - 3] = bits >>> 16;
    tail[end - 2] = bits >>> 8;
    tail[end - 1] = bits;
    state.set(common);
    for (let at = 0; at < end; at += 64) compress(state, tail, at);
    if (state[0] === wanted[0] && state.every((word, i) => word === wanted[i])) return number;
  }
  return -1;
}
