/**
 * Where keys and values lie: segments that are filled front to back and compacted when little in them is alive
 * (Rumble et al., "Log-structured memory for DRAM-based storage", 2014). Unlike size classes, no mix of sizes strands
 * memory: what is counted as used is at most a few percent above what entries need.
 */

/** What a stored record consists of. */
export interface RecordParts {
  readonly tags: readonly number[];
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** How the client encoded the value; kept as it is. */
  readonly encoding: number;
}

/** Byte storage of a bounded number of segments. */
export interface Arena {
  /** Bytes of all segments, those that are empty for now too. */
  readonly heldBytes: number;
  /** Bytes of records that are alive. */
  readonly liveBytes: number;
  /** Stores a record and gives its address; -1 if there is no room without compaction. */
  put(id: number, record: RecordParts): number;
  /** Gives up a record. */
  free(address: number): void;
  /** Bytes that a record takes. */
  sizeAt(address: number): number;
  /** Makes room by moving the living records of the emptiest segment together. False: nothing to gain. */
  compact(moved: (id: number, address: number) => void): boolean;
  keyEquals(address: number, key: Uint8Array): boolean;
  /** Views into the arena: valid until the next change. */
  keyAt(address: number): Buffer;
  valueAt(address: number): Buffer;
  valueBytesAt(address: number): number;
  encodingAt(address: number): number;
  tagsAt(address: number): readonly number[];
}

/** Bytes that a record of these lengths takes in the arena. */
export function recordBytes(tags: number, keyBytes: number, valueBytes: number): number {
  return (HEADER_BYTES + tags * 8 + keyBytes + valueBytes + 7) & ~7;
}

/** Segments are not larger than this; a record longer than a quarter of one has its own. */
export const MAX_SEGMENT_BYTES = 1024 * 1024;

const HEADER_BYTES = 12;
const OFFSET_BITS = 17;
const OFFSET_MASK = (1 << OFFSET_BITS) - 1;
const NONE = -1;
/** A segment is compacted when at least this share of it is dead. */
const LEAST_GAIN_RATIO = 1 / 32;

interface Segment {
  readonly bytes: Buffer;
  /** The same memory. Header of a record: id; length of the value; length of the key, number of tags, encoding. */
  readonly words: Uint32Array;
  readonly doubles: Float64Array;
  used: number;
  live: number;
  readonly own: boolean;
}

/** What an arena needs to know of its surroundings. */
export interface ArenaOptions {
  /** Bytes of a segment, a multiple of 8 and at most `MAX_SEGMENT_BYTES`. */
  readonly segmentBytes: number;
  /** What all segments together may take; compaction goes beyond by one segment while it runs. */
  readonly limitBytes: () => number;
  /** Whether the record that was stored for this id at this address is still in use. */
  readonly isAlive: (id: number, address: number) => boolean;
}

/** Makes an empty arena. */
export function createArena({ segmentBytes, limitBytes, isAlive }: ArenaOptions): Arena {
  if (segmentBytes > MAX_SEGMENT_BYTES)
    throw new TypeError(`segments have at most ${MAX_SEGMENT_BYTES} bytes`);
  const segments: (Segment | undefined)[] = [];
  const freeIndexes: number[] = [];
  /** Empty segments. One is kept for compaction, so that this neither makes nor gives up memory all the time. */
  const spares: Segment[] = [];
  let head = NONE;
  let heldBytes = 0;
  let liveBytes = 0;

  const segmentOf = (address: number) => segments[address >>> OFFSET_BITS] as Segment;
  const offsetOf = (address: number) => (address & OFFSET_MASK) * 8;

  function openSegment(bytes: number, own: boolean, isCompacting: boolean): number {
    if (own) for (const segment of spares.splice(1)) drop(segment);
    const reused = !own && spares.length > (isCompacting ? 0 : 1) ? spares.pop() : undefined;
    const kept = spares.length === 0 ? segmentBytes : 0;
    if (reused === undefined && !isCompacting && heldBytes + bytes + kept > limitBytes()) return NONE;
    const segment = reused ?? newSegment(bytes, own);
    if (reused === undefined) heldBytes += segment.bytes.length;
    const index = freeIndexes.pop() ?? segments.length;
    segments[index] = segment;
    return index;
  }

  function drop(segment: Segment): void {
    heldBytes -= segment.bytes.length;
  }

  function roomFor(size: number): number {
    if (size > segmentBytes / 4) return openSegment(size, true, false);
    return fits(size) || openHead(false) ? head : NONE;
  }

  function fits(size: number): boolean {
    const segment = segments[head];
    return segment !== undefined && segment.used + size <= segmentBytes;
  }

  function openHead(isCompacting: boolean): boolean {
    const next = openSegment(segmentBytes, false, isCompacting);
    if (next === NONE) return false;
    const old = head;
    head = next;
    if (segments[old]?.live === 0) release(old);
    return true;
  }

  /** Takes `size` bytes of a segment and gives their address. */
  function take(index: number, size: number): number {
    const segment = segments[index] as Segment;
    const offset = segment.used;
    segment.used += size;
    segment.live += size;
    return ((index << OFFSET_BITS) | (offset / 8)) >>> 0;
  }

  function release(index: number): void {
    const segment = segments[index] as Segment;
    segments[index] = undefined;
    freeIndexes.push(index);
    if (segment.own || heldBytes > limitBytes()) return drop(segment);
    segment.used = 0;
    segment.live = 0;
    spares.push(segment);
  }

  /** The segment with most dead bytes, if they are worth moving the others. */
  function emptiest(): number {
    let best = NONE;
    let most = segmentBytes * LEAST_GAIN_RATIO;
    for (let index = 0; index < segments.length; index++) {
      const segment = segments[index];
      if (segment === undefined || segment.own || index === head || segment.used - segment.live < most)
        continue;
      most = segment.used - segment.live;
      best = index;
    }
    return best;
  }

  const arena: Arena = {
    get heldBytes() {
      return heldBytes;
    },
    get liveBytes() {
      return liveBytes;
    },
    put(id, { tags, key, value, encoding }) {
      const index = roomFor(recordBytes(tags.length, key.length, value.length));
      if (index === NONE) return NONE;
      const size = recordBytes(tags.length, key.length, value.length);
      const address = take(index, size);
      liveBytes += size;
      const { bytes, words, doubles } = segmentOf(address);
      const offset = offsetOf(address);
      words[offset / 4] = id;
      words[offset / 4 + 1] = value.length;
      words[offset / 4 + 2] = (key.length | (tags.length << 16) | (encoding << 24)) >>> 0;
      const body = offset + HEADER_BYTES;
      bytes.set(key, body);
      bytes.set(value, body + key.length);
      // Tags stand last, aligned, so that they are read as doubles.
      let at = (offset + size) / 8 - tags.length;
      for (const tag of tags) doubles[at++] = tag;
      return address;
    },
    free(address) {
      const index = address >>> OFFSET_BITS;
      const segment = segments[index] as Segment;
      const size = arena.sizeAt(address);
      segment.live -= size;
      liveBytes -= size;
      if (segment.live === 0 && index !== head) release(index);
    },
    sizeAt(address) {
      const { words } = segmentOf(address);
      const at = offsetOf(address) / 4;
      const lengths = words[at + 2] as number;
      return recordBytes((lengths >>> 16) & 0xff, lengths & 0xffff, words[at + 1] as number);
    },
    compact(moved) {
      const from = emptiest();
      if (from === NONE) return false;
      const victim = segments[from] as Segment;
      for (let offset = 0; offset < victim.used;) {
        const address = ((from << OFFSET_BITS) | (offset / 8)) >>> 0;
        const size = arena.sizeAt(address);
        const id = victim.words[offset / 4] as number;
        if (isAlive(id, address)) {
          if (!fits(size)) openHead(true);
          const to = take(head, size);
          victim.bytes.copy((segments[head] as Segment).bytes, offsetOf(to), offset, offset + size);
          moved(id, to);
        }
        offset += size;
      }
      release(from);
      return true;
    },
    keyEquals(address, key) {
      const { bytes, words } = segmentOf(address);
      const offset = offsetOf(address);
      const length = (words[offset / 4 + 2] as number) & 0xffff;
      if (length !== key.length) return false;
      const at = offset + HEADER_BYTES;
      for (let i = 0; i < length; i++) if (bytes[at + i] !== key[i]) return false;
      return true;
    },
    keyAt(address) {
      const { bytes, words } = segmentOf(address);
      const offset = offsetOf(address);
      const at = offset + HEADER_BYTES;
      return bytes.subarray(at, at + ((words[offset / 4 + 2] as number) & 0xffff));
    },
    valueAt(address) {
      const { bytes, words } = segmentOf(address);
      const offset = offsetOf(address);
      const at = offset + HEADER_BYTES + ((words[offset / 4 + 2] as number) & 0xffff);
      return bytes.subarray(at, at + (words[offset / 4 + 1] as number));
    },
    valueBytesAt: (address) => segmentOf(address).words[offsetOf(address) / 4 + 1] as number,
    encodingAt: (address) => (segmentOf(address).words[offsetOf(address) / 4 + 2] as number) >>> 24,
    tagsAt(address) {
      const { words, doubles } = segmentOf(address);
      const offset = offsetOf(address);
      const count = ((words[offset / 4 + 2] as number) >>> 16) & 0xff;
      if (count === 0) return NO_TAGS;
      const end = (offset + arena.sizeAt(address)) / 8;
      return Array.from(doubles.subarray(end - count, end));
    },
  };
  return arena;
}

const NO_TAGS: readonly number[] = [];

function newSegment(size: number, own: boolean): Segment {
  const rounded = (size + 7) & ~7;
  const bytes = Buffer.allocUnsafeSlow(rounded);
  return {
    bytes,
    words: new Uint32Array(bytes.buffer, 0, rounded / 4),
    doubles: new Float64Array(bytes.buffer, 0, rounded / 8),
    used: 0,
    live: 0,
    own,
  };
}
