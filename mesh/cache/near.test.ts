import { expect, test } from "vitest";
import { Status } from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { systemClock } from "../clock.ts";
import { xxh32 } from "./hash.ts";
import { createNearCache } from "./near.ts";
import { result } from "./session-codec.ts";

let now = 0;
const clock = { ...systemClock, monotonic: () => now };
const key = Buffer.from("n:k");
const answer = result({ status: Status.OK, value: Buffer.from("v"), version: 1 });
const change = (sequence: number, changed: Uint8Array) => ({ sequence, keyHash: xxh32(changed), all: false });

function make(maxBytes = 100_000) {
  now = 0;
  const near = createNearCache(maxBytes, clock);
  near.keep("node", key, answer, 2000);
  return near;
}

test("gives a copy until its time is over", () => {
  const near = make();
  now = 1999;
  expect(near.find(key)?.value.toString()).toBe("v");
  now = 2000;
  expect(near.find(key)).toBeUndefined();
});

test("keeps nothing longer than it is fresh", () => {
  const near = make();
  near.keep("node", key, { ...answer, ttlMs: 50 }, 2000);
  now = 50;
  expect(near.find(key)).toBeUndefined();
});

test("drops what a node says has changed, and nothing else", () => {
  const near = make();
  near.invalidated("node", change(1, Buffer.from("n:other")));
  expect(near.find(key)).toBeDefined();
  near.invalidated("node", change(2, key));
  expect(near.find(key)).toBeUndefined();
});

test("drops all from a node of which it missed something, and keeps what others gave", () => {
  const near = make();
  const other = Buffer.from("n:elsewhere");
  near.keep("other", other, answer, 2000);
  near.invalidated("node", change(1, Buffer.from("n:a")));
  near.invalidated("node", change(3, Buffer.from("n:b")));
  expect(near.find(key)).toBeUndefined();
  expect(near.find(other)).toBeDefined();
});

test("drops all from a node whose stream was lost, and counts anew on the next", () => {
  const near = make();
  near.invalidated("node", change(1, Buffer.from("n:a")));
  near.lost("node");
  expect(near.find(key)).toBeUndefined();
  near.keep("node", key, answer, 2000);
  near.invalidated("node", change(1, Buffer.from("n:a")));
  expect(near.find(key)).toBeDefined();
});

test("drops all from a node that says so", () => {
  const near = make();
  near.invalidated("node", { sequence: 1, keyHash: 0, all: true });
  expect(near.find(key)).toBeUndefined();
});

test("keeps to its budget, key, value and the room of an entry counted", () => {
  const near = make(10_000);
  for (let index = 0; index < 1000; index++) near.keep("node", Buffer.from(`n:${index}`), answer, 2000);
  expect(near.bytes).toBeGreaterThan(9000);
  expect(near.bytes).toBeLessThanOrEqual(10_000);
});

test("does not hold on to the message that an answer came in", () => {
  const near = make();
  const message = Buffer.alloc(1_000_000, "m");
  near.keep("node", key, { ...answer, value: message.subarray(10, 12) }, 2000);
  message.fill("x");
  expect(near.find(key)?.value.toString()).toBe("mm");
});
