/**
 * The messages between nodes as bytes. Changes, which are nearly all of them, are written and read by hand, the rest by
 * the generated code.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  FrameSchema,
  HelloSchema,
  ReplicateResponseSchema,
  type Hello as HelloMessage,
} from "../gen/ts/heddle/cache/v1/replication_service_pb.ts";
import { WireReader, WireWriter } from "../mesh/cache/wire.ts";
import type { Frame, Hello, Reply, TagClock } from "./frames.ts";

const EMPTY = Buffer.alloc(0);
const TAG_FRAMES = 10;
const TAG_APPEND = 18;
/** ReplicateResponse.applied. */
const TAG_APPLIED = 16;

type Append = Extract<Frame, { kind: "append" }>;

/** Appends one frame to a ReplicateRequest. */
export function writeFrame(writer: WireWriter, frame: Frame): void {
  if (frame.kind !== "append") return writer.blob(1, toBinary(FrameSchema, coldFrame(frame)));
  const { change, condition, isLive } = frame;
  const expectedBytes = change.key.length + (change.value?.length ?? 0) + change.tags.length * 9 + 32;
  const outer = writer.begin(1, expectedBytes);
  const inner = writer.begin(2, expectedBytes);
  writer.blob(1, change.key);
  writer.blob(2, change.value ?? EMPTY);
  writer.bool(3, change.value === undefined);
  writer.fixed64(4, change.version);
  writer.fixed64(5, change.expireAt === Infinity ? 0 : Math.floor(change.expireAt));
  writer.uint32(6, change.graceMs);
  if (change.tags.length > 0) {
    const tags = writer.begin(7, change.tags.length * 8);
    for (const tag of change.tags) {
      writer.ensure(8);
      writer.raw64(tag);
    }
    writer.end(tags);
  }
  writer.uint32(8, change.encoding);
  writer.uint32(9, change.loadMs);
  writer.fixed64(10, condition ?? 0);
  writer.bool(11, condition !== undefined);
  writer.bool(12, isLive);
  writer.end(inner);
  writer.end(outer);
}

/** Reads a ReplicateRequest, one frame after the other; Hello apart. Throws for malformed bytes. */
export function readFrames(
  message: Buffer,
  onHello: (hello: Hello) => void,
  onFrame: (frame: Frame) => void,
): void {
  const reader = new WireReader(message);
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag !== TAG_FRAMES) {
      reader.skip(tag & 7);
      continue;
    }
    const start = reader.at;
    const outer = reader.enter();
    if (reader.at < reader.end && reader.varint() === TAG_APPEND) {
      const rest = reader.enter();
      onFrame(readAppend(reader));
      reader.leave(rest);
    } else {
      reader.at = start;
      reader.end = outer;
      readColdFrame(reader.blob(), onHello, onFrame);
      continue;
    }
    reader.leave(outer);
  }
}

/** A Hello as the first frame of a ReplicateRequest. */
export function writeHello(writer: WireWriter, hello: Hello): void {
  writer.blob(
    1,
    toBinary(FrameSchema, create(FrameSchema, { kind: { case: "hello", value: helloMessage(hello) } })),
  );
}

/** Appends what a receiver says to a ReplicateResponse. Each has fields of its own, so that several may be merged. */
export function replyBytes(reply: Reply): Uint8Array {
  if (reply.kind === "applied") return appliedBytes(reply);
  const message = create(ReplicateResponseSchema);
  if (reply.kind === "hello") message.hello = helloMessage(reply.hello);
  else if (reply.kind === "raised") message.raised = [tagMessage(reply.clock)];
  else if (reply.kind === "differs") message.differs = reply.slots;
  else message.ring = { $typeName: "heddle.cache.v1.RingNotice", digest: reply.digest, warm: reply.warm };
  return toBinary(ReplicateResponseSchema, message);
}

/** One of these answers every message, so they are written and read by hand. */
function appliedBytes({ upTo, refused }: Extract<Reply, { kind: "applied" }>): Uint8Array {
  const writer = new WireWriter(0, Buffer.allocUnsafe(24 + refused.length * 10));
  writer.uint32(2, upTo);
  if (refused.length > 0) {
    const list = writer.begin(3, refused.length * 4);
    for (const number of refused) {
      writer.ensure(10);
      writer.varint(number);
    }
    writer.end(list);
  }
  return writer.bytes();
}

/** The number in a reply that has nothing but `applied`; undefined for every other one. */
function appliedAlone(bytes: Uint8Array): number | undefined {
  if (bytes[0] !== TAG_APPLIED) return undefined;
  const reader = new WireReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 1);
  const upTo = reader.varint();
  return reader.at === reader.end ? upTo : undefined;
}

/** Reads a ReplicateResponse. Throws for malformed bytes. */
export function readReplies(bytes: Uint8Array, each: (reply: Reply) => void): void {
  const upTo = appliedAlone(bytes);
  if (upTo !== undefined) return each({ kind: "applied", upTo, refused: [] });
  const message = fromBinary(ReplicateResponseSchema, bytes);
  if (message.hello !== undefined) each({ kind: "hello", hello: helloOf(message.hello) });
  if (message.ring !== undefined)
    each({ kind: "ring", digest: message.ring.digest, warm: message.ring.warm });
  for (const raised of message.raised) each({ kind: "raised", clock: tagOf(raised) });
  if (message.differs.length > 0) each({ kind: "differs", slots: message.differs });
  if (message.applied === 0n) return;
  each({ kind: "applied", upTo: Number(message.applied), refused: message.refused.map(Number) });
}

function readAppend(reader: WireReader): Append {
  const change: { -readonly [Name in keyof Append["change"]]: Append["change"][Name] } = {
    key: EMPTY,
    value: EMPTY,
    version: 0,
    expireAt: Infinity,
    graceMs: 0,
    tags: [],
    encoding: 0,
    loadMs: 0,
  };
  let condition = 0;
  let isConditional = false;
  let isLive = false;
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag === 10) change.key = reader.blob();
    else if (tag === 18) change.value = reader.blob();
    else if (tag === 24) change.value = reader.varint() === 0 ? change.value : undefined;
    else if (tag === 33) change.version = reader.fixed64();
    else if (tag === 41) change.expireAt = reader.fixed64() || Infinity;
    else if (tag === 48) change.graceMs = reader.uint32();
    else if (tag === 58) change.tags = readTags(reader);
    else if (tag === 64) change.encoding = reader.uint32();
    else if (tag === 72) change.loadMs = reader.uint32();
    else if (tag === 81) condition = reader.fixed64();
    else if (tag === 88) isConditional = reader.varint() !== 0;
    else if (tag === 96) isLive = reader.varint() !== 0;
    else reader.skip(tag & 7);
  }
  return { kind: "append", change, condition: isConditional ? condition : undefined, isLive };
}

function readTags(reader: WireReader): readonly number[] {
  const outer = reader.enter();
  const tags: number[] = [];
  while (reader.at < reader.end) tags.push(reader.fixed64());
  reader.leave(outer);
  return tags;
}

function readColdFrame(
  bytes: Uint8Array,
  onHello: (hello: Hello) => void,
  onFrame: (frame: Frame) => void,
): void {
  const { kind } = fromBinary(FrameSchema, bytes);
  if (kind.case === "hello") onHello(helloOf(kind.value));
  else if (kind.case === "tagClock")
    onFrame({ kind: "tag", clock: tagOf(kind.value), raise: kind.value.raise });
  else if (kind.case === "swept") onFrame({ kind: "swept", slots: kind.value.slots });
  else if (kind.case === "audit")
    onFrame({ kind: "audit", slots: kind.value.slots, prints: kind.value.prints.map(Number) });
  else if (kind.case === "ring") onFrame({ kind: "ring", digest: kind.value.digest, warm: kind.value.warm });
}

function coldFrame(frame: Exclude<Frame, Append>) {
  if (frame.kind === "tag") {
    const value = { ...tagMessage(frame.clock), raise: frame.raise };
    return create(FrameSchema, { kind: { case: "tagClock", value } });
  }
  if (frame.kind === "audit") {
    const value = { slots: frame.slots, prints: frame.prints.map(BigInt) };
    return create(FrameSchema, { kind: { case: "audit", value } });
  }
  if (frame.kind === "swept")
    return create(FrameSchema, { kind: { case: "swept", value: { slots: frame.slots } } });
  return create(FrameSchema, { kind: { case: "ring", value: { digest: frame.digest, warm: frame.warm } } });
}

function helloMessage(hello: Hello): HelloMessage {
  return create(HelloSchema, {
    ...hello,
    version: BigInt(hello.version),
    tagFloor: BigInt(hello.tagFloor),
    tagClocks: hello.tagClocks.map(tagMessage),
  });
}

function helloOf(message: HelloMessage): Hello {
  return {
    node: message.node,
    bootId: message.bootId,
    ringDigest: message.ringDigest,
    version: Number(message.version),
    mustDrop: message.mustDrop,
    warm: message.warm,
    tagClocks: message.tagClocks.map(tagOf),
    tagFloor: Number(message.tagFloor),
  };
}

function tagMessage({ tag, version, soft }: TagClock) {
  const $typeName = "heddle.cache.v1.TagClock" as const;
  return { $typeName, tag: BigInt(tag), version: BigInt(version), soft, raise: false };
}

function tagOf(message: { tag: bigint; version: bigint; soft: boolean }): TagClock {
  return { tag: Number(message.tag), version: Number(message.version), soft: message.soft };
}
