/**
 * The hashes that place keys and tags. XXH32 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md) because every language
 * has it, so that a client in any of them finds the same owner.
 */

const P1 = 0x9e3779b1;
const P2 = 0x85ebca77;
const P3 = 0xc2b2ae3d;
const P4 = 0x27d4eb2f;
const P5 = 0x165667b1;

/** XXH32 of `bytes[start, end)`, unsigned. */
export function xxh32(bytes: Uint8Array, seed = 0, start = 0, end = bytes.length): number {
  let at = start;
  let hash: number;
  if (end - start >= 16) {
    let a = (seed + P1 + P2) | 0;
    let b = (seed + P2) | 0;
    let c = seed | 0;
    let d = (seed - P1) | 0;
    for (const last = end - 16; at <= last; at += 16) {
      a = stripe(a, word(bytes, at));
      b = stripe(b, word(bytes, at + 4));
      c = stripe(c, word(bytes, at + 8));
      d = stripe(d, word(bytes, at + 12));
    }
    hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
  } else {
    hash = seed + P5;
  }
  hash = (hash + (end - start)) | 0;
  for (; at + 4 <= end; at += 4) {
    hash = Math.imul(rotate((hash + Math.imul(word(bytes, at), P3)) | 0, 17), P4);
  }
  for (; at < end; at++) {
    hash = Math.imul(rotate((hash + Math.imul(bytes[at] as number, P5)) | 0, 11), P1);
  }
  return avalanche(hash);
}

/** Spreads every bit of a 32-bit number over the whole result (the finish of XXH32), unsigned. */
export function avalanche(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 15), P2);
  hash = Math.imul(hash ^ (hash >>> 13), P3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** A 53-bit hash, exact in a double, of a name: two XXH32 with different seeds. For names whose clash only costs a reload. */
export function hash53(text: string): number {
  const bytes = Buffer.from(text, "utf8");
  return (xxh32(bytes, 0x68656464) & 0x1fffff) * 0x1_0000_0000 + xxh32(bytes, 0x6c65);
}

function stripe(lane: number, input: number): number {
  return Math.imul(rotate((lane + Math.imul(input, P2)) | 0, 13), P1);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}
