import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { array, assert, boolean, nat, option, property, record, uint8Array } from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ReplicateRequestSchema,
  ReplicateResponseSchema,
} from "../gen/ts/heddle/cache/v1/replication_service_pb.ts";
import { WireWriter } from "../mesh/cache/wire.ts";
import type { Frame, Hello, Reply } from "./frames.ts";
import { readFrames, readReplies, replyBytes, writeFrame, writeHello } from "./replicate-codec.ts";

const bytes = () => uint8Array({ maxLength: 200 }).map((value) => Buffer.from(value));
const appends = record({
  kind: record({}).map(() => "append" as const),
  change: record({
    key: bytes(),
    value: option(bytes(), { nil: undefined }),
    version: nat().map((value) => value * 2 ** 20 + 1),
    expireAt: nat().map((value) => (value === 0 ? Infinity : value * 1000)),
    graceMs: nat(),
    tags: array(nat().map((value) => value * 2 ** 20)),
    encoding: nat(255),
    loadMs: nat(),
  }),
  condition: option(nat(), { nil: undefined }),
  isLive: boolean(),
});

function written(frames: readonly Frame[]): Buffer {
  const writer = new WireWriter();
  for (const frame of frames) writeFrame(writer, frame);
  return Buffer.from(writer.bytes());
}

function read(message: Buffer): Frame[] {
  const frames: Frame[] = [];
  readFrames(
    message,
    () => {},
    (frame) => frames.push(frame),
  );
  return frames;
}

const hello: Hello = {
  node: "cache-1",
  bootId: "b",
  ringDigest: "0011",
  version: 2 ** 52,
  mustDrop: true,
  warm: Buffer.from([1, 2]),
  tagClocks: [{ tag: 2 ** 51, version: 9, soft: true }],
  tagFloor: 3,
};

describe("frames", () => {
  test("are read as they were written, and the generated code writes the same bytes", () => {
    assert(
      property(array(appends, { maxLength: 4 }), (frames) => {
        const message = written(frames);
        expect(read(message)).toEqual(frames);
        const generated = toBinary(ReplicateRequestSchema, fromBinary(ReplicateRequestSchema, message));
        expect(message.equals(generated)).toBe(true);
      }),
    );
  });

  test("of other kinds come through among changes", () => {
    const frames: Frame[] = [
      { kind: "tag", clock: { tag: 2 ** 50, version: 7, soft: false }, raise: true },
      { kind: "swept", slots: Buffer.from([0, 9]) },
      { kind: "audit", slots: Buffer.from([5]), prints: [7, 2 ** 52] },
      { kind: "ring", digest: "ff", warm: Buffer.from([3]) },
    ];
    expect(read(written(frames)).map((frame) => frame.kind)).toEqual(["tag", "swept", "audit", "ring"]);
    expect(read(written(frames))[0]).toEqual(frames[0]);
  });

  test("begin with Hello", () => {
    const writer = new WireWriter();
    writeHello(writer, hello);
    const found: Hello[] = [];
    readFrames(
      Buffer.from(writer.bytes()),
      (each) => found.push(each),
      () => {},
    );
    expect(found).toEqual([{ ...hello, warm: Buffer.from([1, 2]) }]);
  });

  test("that are malformed throw", () => {
    expect(() => read(Buffer.from([10, 200]))).toThrow();
    expect(toBinary(ReplicateRequestSchema, create(ReplicateRequestSchema))).toHaveLength(0);
  });
});

test("acknowledgements are written as the generated code does", () => {
  for (const [upTo, refused] of [
    [1, []],
    [300, [7]],
    [2 ** 40, [1, 2 ** 40]],
    [9, Array.from({ length: 100 }, (_, index) => index * 1000)],
  ] as const) {
    const message = create(ReplicateResponseSchema, { applied: BigInt(upTo), refused: refused.map(BigInt) });
    const expected = Buffer.from(toBinary(ReplicateResponseSchema, message));
    expect(Buffer.from(replyBytes({ kind: "applied", upTo, refused })).equals(expected)).toBe(true);
  }
});

test("replies are read as they were written", () => {
  const replies: Reply[] = [
    { kind: "hello", hello: { ...hello, warm: new Uint8Array([1, 2]) } },
    { kind: "applied", upTo: 2 ** 40, refused: [] },
    { kind: "applied", upTo: 9, refused: [3, 4] },
    { kind: "raised", clock: { tag: 5, version: 6, soft: false } },
    { kind: "differs", slots: new Uint8Array([3]) },
    { kind: "ring", digest: "ab", warm: new Uint8Array([7]) },
  ];
  for (const reply of replies) {
    const found: Reply[] = [];
    readReplies(replyBytes(reply), (each) => found.push(each));
    expect(found).toEqual([reply]);
  }
});
