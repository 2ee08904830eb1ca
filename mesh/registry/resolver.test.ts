import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  InstanceState,
  type RegistryService,
  type WatchResponseSchema,
} from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import type { Resolver } from "./instances.ts";
import { createMessageQueue } from "./message-queue.ts";
import { createResolver, SILENCE_MS } from "./resolver.ts";
import { dialInMemory, idOf, instanceOf } from "./testing.ts";

type Event = NonNullable<MessageInitShape<typeof WatchResponseSchema>["event"]>;

const service = "test.v1.EchoService";
const snapshot = (...numbers: number[]): Event => ({
  case: "snapshot",
  value: { instances: numbers.map((n) => instanceOf(n)) },
});

/** A registry that sends what the test says, to whoever watches last. */
function scriptedRegistry() {
  let queue = createMessageQueue<MessageInitShape<typeof WatchResponseSchema>>();
  const registry = {
    watchers: 0,
    send: (event: Event) => queue.push({ revision: "epoch/1", event }),
    fail: () => queue.end(new ConnectError("gone", Code.Unavailable)),
    implementation: {
      async *watch(_, { signal }) {
        registry.watchers += 1;
        queue = createMessageQueue();
        const mine = queue;
        signal.addEventListener("abort", () => mine.end());
        yield* mine;
      },
    } satisfies Partial<ServiceImpl<typeof RegistryService>>,
  };
  return registry;
}

describe("a resolver", () => {
  const a = scriptedRegistry();
  const b = scriptedRegistry();
  let resolver: Resolver;

  beforeEach(async () => {
    vi.useFakeTimers();
    a.watchers = 0;
    b.watchers = 0;
    resolver = createResolver({
      endpoints: ["a", "b"],
      dial: dialInMemory({ a: a.implementation, b: b.implementation }),
      random: () => 0.1,
    });
    await settle();
  });
  afterEach(async () => {
    await resolver.close();
    vi.useRealTimers();
  });

  const settle = () => vi.advanceTimersByTimeAsync(0);
  const numbers = () =>
    resolver
      .watch(service)
      .current()
      .map(({ instanceId }) => Number(instanceId.slice(3)));

  test("is ready with the first answer, whatever it says", async () => {
    let ready = false;
    const first = resolver.ready(service, new AbortController().signal).then(() => (ready = true));
    await settle();
    expect(ready).toBe(false);
    a.send(snapshot());
    await first;
    expect(numbers()).toEqual([]);
  });

  test("stops waiting for an answer with the signal", async () => {
    await expect(resolver.ready(service, AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
  });

  test("follows a snapshot and its changes", async () => {
    a.send(snapshot(1, 2));
    a.send({ case: "delta", value: { upserts: [instanceOf(3)], removedInstanceIds: [idOf(1)] } });
    await settle();
    expect(numbers()).toEqual([2, 3]);
    const draining = instanceOf(2, { state: InstanceState.DRAINING });
    a.send({ case: "delta", value: { upserts: [draining] } });
    await settle();
    expect(numbers()).toEqual([3]);
    a.send({ case: "delta", value: { removedInstanceIds: [idOf(3)] } });
    await settle();
    expect(numbers()).toEqual([]);
  });

  test("keeps what it knows for ever while no gateway answers", async () => {
    a.send(snapshot(1, 2));
    await settle();
    a.fail();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(numbers()).toEqual([1, 2]);
  });

  test("goes on with the next gateway", async () => {
    a.send(snapshot(1));
    await settle();
    a.fail();
    await vi.advanceTimersByTimeAsync(100);
    expect(b.watchers).toBe(1);
    b.send(snapshot(1, 2));
    await settle();
    expect(numbers()).toEqual([1, 2]);
  });

  test("does not believe that everything is gone because a new gateway knows nothing", async () => {
    a.send(snapshot(1, 2));
    await settle();
    a.fail();
    await vi.advanceTimersByTimeAsync(100);
    b.send(snapshot());
    await settle();
    expect(numbers()).toEqual([1, 2]);
    b.send({ case: "delta", value: { upserts: [instanceOf(3), instanceOf(4)] } });
    await vi.advanceTimersByTimeAsync(SILENCE_MS - 1);
    b.send({ case: "delta", value: {} });
    await vi.advanceTimersByTimeAsync(1);
    b.send({ case: "delta", value: {} });
    await settle();
    expect(numbers()).toEqual([3, 4]);
  });

  test("leaves a gateway that is silent", async () => {
    a.send(snapshot(1));
    await vi.advanceTimersByTimeAsync(SILENCE_MS - 1);
    expect(b.watchers).toBe(0);
    await vi.advanceTimersByTimeAsync(101);
    expect(b.watchers).toBe(1);
    expect(numbers()).toEqual([1]);
  });

  test("needs an endpoint", () => {
    expect(() => createResolver({ endpoints: [] })).toThrow(TypeError);
  });
});
