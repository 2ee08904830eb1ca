/** Messages in gRPC's framing: a byte that says whether it is compressed, four bytes of length, the message. */
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../../mesh/errors.ts";

/** One message as it came. */
export interface Frame {
  readonly compressed: boolean;
  readonly bytes: Buffer;
}

const HEAD_BYTES = 5;

/** Frames a message that is not compressed. */
export function encodeFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, HEAD_BYTES);
  return frame;
}

/** Takes frames out of chunks of any size. */
export class FrameReader {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #length = 0;

  /** Messages longer than `maxBytes` are refused as soon as their length is known. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether a frame has begun and is not whole. */
  get partial(): boolean {
    return this.#length > 0;
  }

  /**
   * The frames that are whole with this chunk.
   *
   * @throws ConnectError RESOURCE_EXHAUSTED if a message is too long, INTERNAL if this is no gRPC framing.
   */
  push(chunk: Buffer): Frame[] {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const frames: Frame[] = [];
    for (let head = this.#head(); head !== undefined; head = this.#head()) {
      if (this.#length < HEAD_BYTES + head.length) break;
      const all = this.#joined();
      const end = HEAD_BYTES + head.length;
      frames.push({ compressed: head.flag === 1, bytes: all.subarray(HEAD_BYTES, end) });
      this.#length -= end;
      this.#chunks = this.#length === 0 ? [] : [all.subarray(end)];
    }
    return frames;
  }

  #head(): { readonly flag: number; readonly length: number } | undefined {
    if (this.#length < HEAD_BYTES) return undefined;
    // Only a head that is split over chunks is worth a copy; a long body arrives in many chunks after its head.
    const first = this.#chunks[0]!.length >= HEAD_BYTES ? this.#chunks[0]! : this.#joined();
    const flag = first[0]!;
    const length = first.readUInt32BE(1);
    if (flag > 1) throw malformed(flag);
    if (length > this.#maxBytes) throw messageTooLarge(this.#maxBytes);
    return { flag, length };
  }

  #joined(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks, this.#length)];
    return this.#chunks[0]!;
  }
}

/** A message was longer than allowed. */
export function messageTooLarge(maxBytes: number): ConnectError {
  const message = `the request message is longer than ${maxBytes} bytes`;
  return rpcError(Code.ResourceExhausted, Reason.MESSAGE_TOO_LARGE, message);
}

function malformed(flag: number): ConnectError {
  const message = `the request is not in gRPC framing: a message begins with byte ${flag}`;
  return rpcError(Code.Internal, Reason.MALFORMED_BODY, message);
}
