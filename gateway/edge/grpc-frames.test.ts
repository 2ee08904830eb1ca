import { array, assert, integer, property, uint8Array } from "fast-check";
import { ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { encodeFrame, FrameReader } from "./grpc-frames.ts";

describe("FrameReader", () => {
  test("finds the same messages however their bytes are cut", () => {
    const messages = array(uint8Array({ maxLength: 40 }), { maxLength: 8 });
    assert(
      property(messages, array(integer({ min: 1, max: 30 }), { minLength: 1 }), (messages, sizes) => {
        const bytes = Buffer.concat(messages.map(encodeFrame));
        const reader = new FrameReader(100);
        const found: Buffer[] = [];
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const size = sizes[cut % sizes.length]!;
          found.push(...reader.push(bytes.subarray(at, at + size)).map(({ bytes }) => bytes));
          at += size;
        }
        expect(found.map((each) => [...each])).toEqual(messages.map((each) => [...each]));
        expect(reader.partial).toBe(false);
      }),
    );
  });

  test("says which messages are compressed", () => {
    const frame = encodeFrame(Buffer.from("abc"));
    frame[0] = 1;
    expect(new FrameReader(10).push(frame)).toEqual([{ compressed: true, bytes: Buffer.from("abc") }]);
  });

  test("knows that a frame is not whole", () => {
    const reader = new FrameReader(10);
    expect(reader.push(encodeFrame(Buffer.from("abc")).subarray(0, 7))).toEqual([]);
    expect(reader.partial).toBe(true);
  });

  test("refuses a long message by its head, and bytes that are no frames", () => {
    const head = encodeFrame(Buffer.alloc(11)).subarray(0, 5);
    expect(() => new FrameReader(10).push(head)).toThrow(ConnectError);
    expect(() => new FrameReader(10).push(Buffer.from("POST / HTTP/1.1"))).toThrow("not in gRPC framing");
  });
});
