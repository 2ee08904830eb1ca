/**
 * Values as they are stored. Large ones are compressed by the client: it saves the wire, the nodes' memory and the nodes'
 * time. `encoding` is 0 for plain bytes and 1 for Zstandard (RFC 8878).
 */
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";

/** Smaller values are not worth it. */
const LEAST_BYTES = 1024;
/** Compressed values are kept if they are at most this share of the plain ones. */
const WORTH_RATIO = 0.9;
const FAST = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** What a value may be unpacked to: a bound against malicious ones. */
const MAX_PLAIN = { maxOutputLength: 64 * 1024 * 1024 };

/** A value as it is stored. */
export interface Packed {
  readonly value: Uint8Array;
  readonly encoding: number;
}

/** Compresses a value if that is worth it. */
export function pack(value: Uint8Array): Packed {
  if (value.length < LEAST_BYTES) return { value, encoding: 0 };
  const compressed = zstdCompressSync(value, FAST);
  return compressed.length <= value.length * WORTH_RATIO
    ? { value: compressed, encoding: 1 }
    : { value, encoding: 0 };
}

/** Gives back what was packed; undefined if it cannot be read. */
export function unpack({ value, encoding }: Packed): Uint8Array | undefined {
  if (encoding === 0) return value;
  if (encoding !== 1) return undefined;
  try {
    return zstdDecompressSync(value, MAX_PLAIN);
  } catch {
    return undefined;
  }
}
