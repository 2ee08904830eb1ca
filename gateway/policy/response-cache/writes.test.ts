import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { WriteItemRequestSchema } from "../../../gen/ts/heddle/testing/v1/catalog_service_pb.ts";
import type { Invalidation } from "../../../mesh/cache/invalidator.ts";
import type { Call, Reply } from "../../../mesh/rpc/call.ts";
import { method } from "./catalog.fixture.ts";
import { createResponseCacheMetrics } from "./metrics.ts";
import { createInvalidatingWrites } from "./writes.ts";

const { info, caching } = method("WriteItem");
const done: Reply = { metadata: new Headers(), message: new Uint8Array(), trailers: () => new Headers() };

function make() {
  const events: unknown[] = [];
  const gate = Promise.withResolvers<void>();
  const write = createInvalidatingWrites({
    invalidator: {
      async invalidate(tags: readonly string[], how?: Invalidation) {
        events.push([...tags, how?.isUnsure]);
        await gate.promise;
        return "applied" as const;
      },
    },
    metrics: createResponseCacheMetrics(new Registry()),
  });
  const send = (reply: () => Promise<Reply>, request = bytes) => {
    const call: Call = {
      method: info,
      metadata: new Headers(),
      deadline: Infinity,
      signal: new AbortController().signal,
      request,
    };
    return write(caching!.write!, call, reply);
  };
  return { events, gate, send };
}

const bytes: Uint8Array = toBinary(WriteItemRequestSchema, create(WriteItemRequestSchema, { id: "1" }));

test("a write is answered after its tags are invalidated", async () => {
  const { events, gate, send } = make();
  const sending = send(() => Promise.resolve(done)).then(() => events.push("answered"));
  await new Promise((resolve) => setImmediate(resolve));
  expect(events).toEqual([["item:*", "item:1", false]]);
  gate.resolve();
  await sending;
  expect(events.at(-1)).toBe("answered");
});

test.each([
  [Code.NotFound, []],
  [Code.Unavailable, [["item:*", "item:1", true]]],
])("a write that fails with code %i invalidates %j", async (code, expected) => {
  const { events, gate, send } = make();
  gate.resolve();
  await expect(send(() => Promise.reject(new ConnectError("no", code)))).rejects.toMatchObject({ code });
  expect(events).toEqual(expected);
});

test("a request that cannot be read invalidates all that it may be about", async () => {
  const { events, gate, send } = make();
  gate.resolve();
  await send(() => Promise.resolve(done), Buffer.from([0xff]));
  expect(events).toEqual([["item:*", false]]);
});
