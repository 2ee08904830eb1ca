/**
 * Writes and reads protobuf fields without objects in between: what the hot messages of the cache are made with. Field
 * order and defaults are those of every protobuf library, so the bytes are the same. fixed64 fields hold numbers below
 * 2^53.
 */

const GROWTH = 2;
const FIRST_BYTES = 4096;

/** Appends fields to a buffer that grows. Numbers of length-delimited fields are below 16. */
export class WireWriter {
  buffer: Buffer;
  at: number;

  /** `headroom` bytes are left free at the start, for a frame header. Begins with `buffer`, if one is given. */
  constructor(headroom = 0, buffer: Buffer = Buffer.allocUnsafe(FIRST_BYTES)) {
    this.buffer = buffer;
    this.at = headroom;
  }

  /** What was written, headroom included. A view: write no more. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.at);
  }

  /** Makes sure that `count` more bytes fit. */
  ensure(count: number): void {
    if (this.at + count <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * GROWTH, this.at + count));
    this.buffer.copy(larger, 0, 0, this.at);
    this.buffer = larger;
  }

  /** A uint32 or enum field; 0 is left out. */
  uint32(field: number, value: number): void {
    if (value === 0) return;
    this.ensure(8);
    this.varint(field * 8);
    this.varint(value);
  }

  /** A bool field; false is left out. */
  bool(field: number, value: boolean): void {
    if (value) this.uint32(field, 1);
  }

  /** A fixed64 field; 0 is left out. */
  fixed64(field: number, value: number): void {
    if (value === 0) return;
    this.ensure(10);
    this.varint(field * 8 + 1);
    this.raw64(value);
  }

  /** The eight bytes of a fixed64. */
  raw64(value: number): void {
    this.buffer.writeUInt32LE(value % 0x1_0000_0000, this.at);
    this.buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), this.at + 4);
    this.at += 8;
  }

  /** A bytes field; an empty one is left out. */
  blob(field: number, value: Uint8Array): void {
    const { length } = value;
    if (length === 0) return;
    this.ensure(length + 6);
    this.buffer[this.at++] = (field << 3) | 2;
    this.varint(length);
    this.buffer.set(value, this.at);
    this.at += length;
  }

  /** A string field; an empty one is left out unless it is an element of a list. */
  text(field: number, value: string, element = false): void {
    if (value === "" && !element) return;
    const length = Buffer.byteLength(value, "utf8");
    this.ensure(length + 6);
    this.buffer[this.at++] = (field << 3) | 2;
    this.varint(length);
    this.buffer.write(value, this.at, "utf8");
    this.at += length;
  }

  /** Begins a message field that takes about `expectedBytes`; give the result to `end`. */
  begin(field: number, expectedBytes: number): number {
    this.ensure(expectedBytes + 16);
    this.buffer[this.at++] = (field << 3) | 2;
    const reserved = varintBytes(expectedBytes);
    this.at += reserved;
    return this.at * 8 + reserved;
  }

  /** Ends the message field. */
  end(begun: number): void {
    const reserved = begun % 8;
    const start = (begun - reserved) / 8;
    const length = this.at - start;
    const needed = varintBytes(length);
    if (needed !== reserved) {
      this.ensure(8);
      this.buffer.copyWithin(start - reserved + needed, start, this.at);
    }
    this.at = start - reserved;
    this.varint(length);
    this.at += length;
  }

  /** An unsigned number below 2^53. Call `ensure` before. */
  varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.buffer[this.at++] = (rest % 0x80) | 0x80;
      rest = rest < 0x8000_0000 ? rest >>> 7 : Math.floor(rest / 0x80);
    }
    this.buffer[this.at++] = rest;
  }
}

/** Reads fields of `bytes[at, end)`. Throws RangeError for bytes that are no protobuf message. */
export class WireReader {
  readonly buffer: Buffer;
  at: number;
  end: number;

  constructor(buffer: Buffer, at = 0, end = buffer.length) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
  }

  /** An unsigned number below 2^53. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      if (this.at >= this.end) break;
      const byte = this.buffer[this.at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw malformed();
  }

  /** A varint of a uint32 field: its low 32 bits. */
  uint32(): number {
    return this.varint() % 0x1_0000_0000;
  }

  /** A fixed64. Throws for numbers from 2^53. */
  fixed64(): number {
    if (this.at + 8 > this.end) throw malformed();
    const value = this.buffer.readUInt32LE(this.at) + this.buffer.readUInt32LE(this.at + 4) * 0x1_0000_0000;
    this.at += 8;
    if (!Number.isSafeInteger(value)) throw malformed();
    return value;
  }

  /** The bytes of a length-delimited field, as a view. */
  blob(): Buffer {
    const length = this.varint();
    const start = this.at;
    if (start + length > this.end) throw malformed();
    this.at = start + length;
    return this.buffer.subarray(start, this.at);
  }

  text(): string {
    return this.blob().toString("utf8");
  }

  /** Enters a message field; give the result to `leave`. */
  enter(): number {
    const length = this.varint();
    const outer = this.end;
    if (this.at + length > outer) throw malformed();
    this.end = this.at + length;
    return outer;
  }

  leave(outer: number): void {
    this.at = this.end;
    this.end = outer;
  }

  /** Passes over a field that is not known. */
  skip(type: number): void {
    if (type === 0) this.varint();
    else if (type === 1) this.at += 8;
    else if (type === 2) this.blob();
    else if (type === 5) this.at += 4;
    else throw malformed();
    if (this.at > this.end) throw malformed();
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

function malformed(): RangeError {
  return new RangeError("malformed protobuf message");
}
