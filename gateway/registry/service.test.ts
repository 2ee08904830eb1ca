import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import { Code, createRouterTransport, createClient, type ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import {
  InstanceState,
  RegisterRequestSchema,
  RegistryService,
  type SessionRequestSchema,
  type SessionResponse,
  type WatchResponse,
} from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { hasReason } from "../../mesh/errors.ts";
import { announce } from "../../mesh/registry/announce.ts";
import { createMessageQueue } from "../../mesh/registry/message-queue.ts";
import { createResolver } from "../../mesh/registry/resolver.ts";
import { dialInMemory, idOf, instanceOf } from "../../mesh/registry/testing.ts";
import { createRegistry, type Registry } from "./registry.ts";
import { createRegistryService } from "./service.ts";
import { createMemoryStore } from "./stores/memory.ts";

const service = "test.v1.EchoService";

let store = createMemoryStore();
let registry: Registry;
let client = newClient();

function newClient() {
  store = createMemoryStore();
  registry = createRegistry({ store });
  const implementation = createRegistryService(registry);
  return createClient(
    RegistryService,
    createRouterTransport((router) => {
      router.service(RegistryService, implementation);
    }),
  );
}

const settle = () => vi.advanceTimersByTimeAsync(0);

const refusal = async (call: Promise<unknown>) => {
  const error = await call.then(
    () => undefined,
    (error: ConnectError) => error,
  );
  const reasons = Object.entries(Reason).filter(([, reason]) => hasReason(error, reason));
  return [error?.code, reasons[0]?.[0]];
};

beforeEach(() => {
  vi.useFakeTimers();
  client = newClient();
});
afterEach(async () => {
  await registry.close();
  vi.useRealTimers();
});

describe("unary calls", () => {
  test("register, renew, find and take out an instance", async () => {
    const { lease, revision } = await client.register({ instance: instanceOf(1) });
    expect(lease?.ttl?.seconds).toBe(15n);
    expect(lease?.beatInterval?.seconds).toBe(5n);
    expect(revision).toBe(registry.revision());
    expect((await client.heartbeat({ instanceId: idOf(1) })).lease).toEqual(lease);
    const resolved = await client.resolve({ service });
    expect(resolved.instances).toEqual([instanceOf(1)]);
    expect(resolved.revision).toBe(revision);
    expect(resolved.stale).toBe(false);
    await client.deregister({ instanceId: idOf(1) });
    expect((await client.resolve({ service })).instances).toEqual([]);
  });

  test("give the lease that is asked for, and a beat each third of it", async () => {
    const brief = { ttl: durationFromMs(3000), beatInterval: durationFromMs(1000) };
    const instance = instanceOf(1, { leaseTtl: durationFromMs(3000) });
    expect((await client.register({ instance })).lease).toMatchObject(brief);
    expect((await client.heartbeat({ instanceId: idOf(1) })).lease).toMatchObject(brief);
  });

  test.each([
    [2999, "invalid"],
    [3000, "valid"],
    [60_000, "valid"],
    [60_001, "invalid"],
  ])("a lease of %i ms is %s", (leaseMs, kind) => {
    const instance = instanceOf(1, { leaseTtl: durationFromMs(leaseMs) });
    const request = create(RegisterRequestSchema, { instance });
    expect(createValidator().validate(RegisterRequestSchema, request).kind).toBe(kind);
  });

  test("resolve only what may be called", async () => {
    await client.register({ instance: instanceOf(1, { state: InstanceState.DRAINING }) });
    await client.register({ instance: instanceOf(2, { services: ["test.v1.OtherService"] }) });
    expect((await client.resolve({ service })).instances).toEqual([]);
  });

  test("resolve shows the problems of an instance", async () => {
    await client.register({ instance: instanceOf(1) });
    registry.problems.set(idOf(1), ["GET /v1/echo belongs to another service"]);
    const { instances } = await client.resolve({ service });
    expect(instances[0]?.problems).toEqual(["GET /v1/echo belongs to another service"]);
  });

  test("deregistering somebody unknown is no error", async () => {
    await client.deregister({ instanceId: idOf(1) });
  });

  test("a beat of somebody unknown asks to register", async () => {
    expect(await refusal(client.heartbeat({ instanceId: idOf(1) }))).toEqual([
      Code.NotFound,
      "NOT_REGISTERED",
    ]);
  });

  test("an older incarnation is refused, and takes out nobody", async () => {
    await client.register({ instance: instanceOf(1, { incarnation: 2n }) });
    const stale = [Code.FailedPrecondition, "STALE_INCARNATION"];
    expect(await refusal(client.register({ instance: instanceOf(1, { incarnation: 1n }) }))).toEqual(stale);
    expect(await refusal(client.heartbeat({ instanceId: idOf(1), incarnation: 1n }))).toEqual(stale);
    await client.deregister({ instanceId: idOf(1), incarnation: 1n });
    expect(registry.instances().size).toBe(1);
  });
});

type Said = MessageInitShape<typeof SessionRequestSchema>;

/** A session to speak into and to hear from. */
function openSession() {
  const requests = createMessageQueue<Said>();
  const hangUp = new AbortController();
  const heard: SessionResponse["event"]["case"][] = [];
  const reasons: string[][] = [];
  const over = (async () => {
    for await (const { event } of client.session(requests, { signal: hangUp.signal })) {
      heard.push(event.case);
      if (event.case === "problems") reasons.push(event.value.reasons);
    }
  })();
  over.catch(() => undefined);
  const say = (event: NonNullable<Said["event"]>) => requests.push({ event });
  return { say, heard, reasons, over, hangUp: () => hangUp.abort(), endRequests: () => requests.end() };
}

describe("a session", () => {
  test("answers each message in order", async () => {
    const session = openSession();
    session.say({ case: "register", value: instanceOf(1, { state: InstanceState.STARTING }) });
    session.say({ case: "state", value: InstanceState.SERVING });
    session.say({ case: "beat", value: {} });
    await settle();
    expect(session.heard).toEqual(["lease", "lease", "lease"]);
    expect([...registry.instances().values()]).toEqual([instanceOf(1)]);
  });

  test("must begin with a registration", async () => {
    const session = openSession();
    session.say({ case: "beat", value: {} });
    expect(await refusal(session.over)).toEqual([Code.InvalidArgument, "INVALID_FIELD"]);
  });

  test("is about one instance", async () => {
    const session = openSession();
    session.say({ case: "register", value: instanceOf(1) });
    session.say({ case: "register", value: instanceOf(2) });
    expect(await refusal(session.over)).toEqual([Code.InvalidArgument, "INVALID_FIELD"]);
  });

  test("refuses an older incarnation", async () => {
    await client.register({ instance: instanceOf(1, { incarnation: 2n }) });
    const session = openSession();
    session.say({ case: "register", value: instanceOf(1, { incarnation: 1n }) });
    expect(await refusal(session.over)).toEqual([Code.FailedPrecondition, "STALE_INCARNATION"]);
    await settle();
    expect([...registry.instances().values()][0]?.suspect).toBe(false);
  });

  test("asks to register again when the registry has lost the instance", async () => {
    const session = openSession();
    session.say({ case: "register", value: instanceOf(1) });
    await settle();
    await client.deregister({ instanceId: idOf(1) });
    session.say({ case: "beat", value: {} });
    await settle();
    expect(session.heard).toEqual(["lease", "reRegister"]);
  });

  test("hears of problems, those of before as well, and when they are over", async () => {
    registry.problems.set(idOf(1), ["first"]);
    const session = openSession();
    session.say({ case: "register", value: instanceOf(1) });
    await settle();
    registry.problems.set(idOf(1), ["second", "third"]);
    registry.problems.set(idOf(1), ["second", "third"]);
    registry.problems.set(idOf(1), []);
    await settle();
    expect(session.reasons).toEqual([["first"], ["second", "third"], []]);
  });

  test.each(["hangUp", "endRequests"] as const)("that breaks makes its instance suspect: %s", async (end) => {
    const session = openSession();
    session.say({ case: "register", value: instanceOf(1) });
    await settle();
    session[end]();
    await settle();
    expect([...registry.instances().values()]).toEqual([instanceOf(1, { suspect: true })]);
    await client.heartbeat({ instanceId: idOf(1) });
    expect([...registry.instances().values()]).toEqual([instanceOf(1)]);
  });

  test("that breaks after a newer one has begun means nothing", async () => {
    const old = openSession();
    old.say({ case: "register", value: instanceOf(1) });
    await settle();
    const young = openSession();
    young.say({ case: "register", value: instanceOf(1) });
    await settle();
    old.hangUp();
    await settle();
    expect([...registry.instances().values()]).toEqual([instanceOf(1)]);
  });

  test("ends with a farewell", async () => {
    const session = openSession();
    session.say({ case: "register", value: instanceOf(1) });
    session.say({ case: "leave", value: {} });
    await session.over;
    expect(registry.instances().size).toBe(0);
  });

  test("ends with UNAVAILABLE when the gateway stops, and nobody is suspect for that", async () => {
    const session = openSession();
    session.say({ case: "register", value: instanceOf(1) });
    await settle();
    await registry.close();
    expect(await refusal(session.over)).toEqual([Code.Unavailable, "DRAINING"]);
    await settle();
    expect((await store.snapshot()).instances).toEqual([instanceOf(1)]);
  });
});

/** What a watcher hears, in short. */
function watch(...services: string[]) {
  const stop = new AbortController();
  const heard: string[] = [];
  const over = (async () => {
    for await (const { event } of client.watch({ services }, { signal: stop.signal }))
      heard.push(short(event));
  })();
  over.catch(() => undefined);
  return { heard, over, stop: () => stop.abort() };
}

function short(event: WatchResponse["event"]): string {
  const numbers = (ids: readonly string[]) => ids.map((id) => Number(id.slice(3))).join(",");
  if (event.case === "snapshot")
    return `all ${numbers(event.value.instances.map(({ instanceId }) => instanceId))}`;
  if (event.case !== "delta") return "nothing";
  const { upserts, removedInstanceIds } = event.value;
  return `+${numbers(upserts.map(({ instanceId }) => instanceId))} -${numbers(removedInstanceIds)}`;
}

describe("a watch", () => {
  test("begins with all, goes on with changes, and beats", async () => {
    await client.register({ instance: instanceOf(1) });
    const watcher = watch();
    await settle();
    await client.register({ instance: instanceOf(2) });
    await settle();
    await client.deregister({ instanceId: idOf(1) });
    await vi.advanceTimersByTimeAsync(5000);
    expect(watcher.heard).toEqual(["all 1", "+2 -", "+ -1", "+ -"]);
  });

  test("tells of the services that were asked for, and when one is not offered any more", async () => {
    const watcher = watch(service);
    await settle();
    await client.register({ instance: instanceOf(1, { services: ["test.v1.OtherService"] }) });
    await client.register({ instance: instanceOf(2) });
    await settle();
    await client.register({ instance: instanceOf(2, { services: ["test.v1.OtherService"] }) });
    await settle();
    expect(watcher.heard.filter((event) => event !== "+ -")).toEqual(["all ", "+2 -", "+ -2"]);
  });

  test("ends with UNAVAILABLE when the gateway stops", async () => {
    const watcher = watch();
    await settle();
    await registry.close();
    expect(await refusal(watcher.over)).toEqual([Code.Unavailable, "DRAINING"]);
  });
});

describe("of three instances with a lease of 3 s", () => {
  const brief = (n: number) => instanceOf(n, { leaseTtl: durationFromMs(3000) });

  /** Announces them; `kill(n)` stops the beats of one without a word, but its session seems to live. */
  async function threeNodes() {
    const killed = new Set<number>();
    const served = createRegistryService(registry);
    const dial = dialInMemory({ gateway: served });
    const sessions = [1, 2, 3].map((n) => {
      const session = openSession();
      session.say({ case: "register", value: brief(n) });
      const beat = setInterval(() => {
        if (!killed.has(n)) session.say({ case: "beat", value: {} });
      }, 1000);
      return { ...session, stop: () => clearInterval(beat) };
    });
    const resolver = createResolver({ endpoints: ["gateway"], dial });
    await vi.advanceTimersByTimeAsync(2000);
    const set = resolver.watch(service);
    const numbers = (instances = set.serving()) =>
      instances.map(({ instanceId }) => Number(instanceId.slice(3))).sort((a, b) => a - b);
    /** How long it takes until fewer are known, in steps of 100 ms; undefined for more than `atMostMs`. */
    const lossAfterMs = async (atMostMs: number) => {
      const before = set.serving().length;
      for (let passedMs = 100; passedMs <= atMostMs; passedMs += 100) {
        await vi.advanceTimersByTimeAsync(100);
        if (set.serving().length < before) return passedMs;
      }
      return undefined;
    };
    const stop = () => {
      for (const session of sessions) session.stop();
      return resolver.close();
    };
    return { set, numbers, lossAfterMs, kill: (n: number) => killed.add(n), stop };
  }

  test("one that dies is a member until its lease ends, and not a second longer", async () => {
    const { set, numbers, lossAfterMs, kill, stop } = await threeNodes();
    kill(2);
    await vi.advanceTimersByTimeAsync(2000);
    expect(numbers()).toEqual([1, 2, 3]);
    expect(numbers(set.current())).toEqual([1, 3]); // Suspect: calls go elsewhere.
    expect(await lossAfterMs(2000)).toBeLessThanOrEqual(1500);
    expect(numbers()).toEqual([1, 3]);
    await stop();
  });

  test("two that die at once stay: it may as well be the registry that is cut off", async () => {
    const { numbers, lossAfterMs, kill, stop } = await threeNodes();
    kill(2);
    kill(3);
    expect(await lossAfterMs(60_000)).toBeUndefined();
    expect(numbers()).toEqual([1, 2, 3]);
    await stop();
  });
});

test("an announced instance is resolved while it serves, and by nobody once it drains", async () => {
  const dial = dialInMemory({ gateway: createRegistryService(registry) });
  const resolver = createResolver({ endpoints: ["gateway"], dial });
  await resolver.ready(service, new AbortController().signal);
  const announcement = announce({ endpoints: ["gateway"], dial, instance: instanceOf(1) });
  await announcement.ready;
  await settle();
  expect(resolver.watch(service).current()).toEqual([instanceOf(1)]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(resolver.watch(service).current()).toEqual([instanceOf(1)]);
  await announcement.drain();
  await settle();
  expect(resolver.watch(service).current()).toEqual([]);
  await announcement.close();
  expect(registry.instances().size).toBe(0);
  await resolver.close();
});
