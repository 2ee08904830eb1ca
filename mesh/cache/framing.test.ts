import { array, assert, nat, property, uint8Array } from "fast-check";
import { describe, expect, test } from "vitest";
import { createDeframer, FRAME_HEADER_BYTES, writeFrameHeader } from "./framing.ts";

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.concat([Buffer.alloc(FRAME_HEADER_BYTES), message]);
  writeFrameHeader(frame);
  return frame;
}

describe("createDeframer", () => {
  test("gives back the messages, wherever the stream is cut into chunks", () => {
    assert(
      property(array(uint8Array({ maxLength: 40 })), array(nat(30), { minLength: 1 }), (messages, cuts) => {
        const whole = Buffer.concat(messages.map(framed));
        const found: Buffer[] = [];
        const take = createDeframer(1000, (message) => found.push(Buffer.from(message)));
        for (let at = 0, turn = 0; at < whole.length; turn++) {
          const size = 1 + (cuts[turn % cuts.length] ?? 0);
          take(whole.subarray(at, at + size));
          at += size;
        }
        expect(found).toEqual(messages.map((message) => Buffer.from(message)));
      }),
    );
  });

  test("refuses a message that is too long before it allocates it", () => {
    const take = createDeframer(10, () => {});
    expect(() => take(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]))).toThrow(RangeError);
  });

  test("refuses a compressed message", () => {
    const take = createDeframer(10, () => {});
    expect(() => take(Buffer.from([1, 0, 0, 0, 1, 7]))).toThrow(RangeError);
  });
});
