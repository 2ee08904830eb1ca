import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  InstanceState,
  type SessionRequest,
  type SessionResponseSchema,
} from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { announce, FAREWELL_MS, type Announcement } from "./announce.ts";
import { dialInMemory, instanceOf } from "./testing.ts";

type Response = MessageInitShape<typeof SessionResponseSchema>;

const lease: Response = { event: { case: "lease", value: { beatInterval: durationFromMs(5000) } } };
const reRegister: Response = { event: { case: "reRegister", value: {} } };

/** A registry that notes what it is told, and answers unless told otherwise. */
function scriptedRegistry() {
  const registry = {
    heard: [] as string[],
    answers: true,
    lost: false,
    down: false,
    stuck: false,
    implementation: {
      async *session(requests: AsyncIterable<SessionRequest>): AsyncGenerator<Response> {
        if (registry.down) throw new ConnectError("down", Code.Unavailable);
        for await (const { event } of requests) {
          registry.heard.push(describe(event));
          if (registry.stuck) await new Promise(() => undefined);
          if (event.case === "leave") return;
          if (registry.down) throw new ConnectError("down", Code.Unavailable);
          if (event.case === "register") registry.lost = false;
          if (!registry.answers) continue;
          yield registry.lost ? reRegister : lease;
        }
      },
    },
  };
  return registry;
}

function describe(event: SessionRequest["event"]): string {
  if (event.case === "register") return `register ${stateName(event.value.state)}`;
  return event.case === "state" ? `state ${stateName(event.value)}` : String(event.case);
}

function stateName(state: InstanceState): string {
  return state === InstanceState.DRAINING
    ? "draining"
    : state === InstanceState.SERVING
      ? "serving"
      : "other";
}

let a = scriptedRegistry();
let b = scriptedRegistry();
let announcement: Announcement;

function start(endpoints: readonly string[] = ["a"]): Announcement {
  const dial = dialInMemory({ a: a.implementation, b: b.implementation });
  announcement = announce({ endpoints, dial, instance: instanceOf(1), random: () => 0.5 });
  return announcement;
}

const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  a = scriptedRegistry();
  b = scriptedRegistry();
});
afterEach(async () => {
  const closed = announcement.close();
  await vi.advanceTimersByTimeAsync(FAREWELL_MS);
  await closed;
  vi.useRealTimers();
});

test("registers as serving, then beats", async () => {
  await start().ready;
  expect(a.heard).toEqual(["register serving"]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(a.heard).toEqual(["register serving", "beat", "beat"]);
});

test("tells every gateway, and is ready with the first", async () => {
  b.down = true;
  await start(["a", "b"]).ready;
  expect(a.heard).toEqual(["register serving"]);
  b.down = false;
  await vi.advanceTimersByTimeAsync(200);
  expect(b.heard).toEqual(["register serving"]);
});

test("registers again when the registry has lost it", async () => {
  await start().ready;
  a.lost = true;
  await vi.advanceTimersByTimeAsync(5000);
  expect(a.heard).toEqual(["register serving", "beat", "register serving"]);
});

test("comes back to a gateway that failed", async () => {
  await start().ready;
  a.down = true;
  await vi.advanceTimersByTimeAsync(60_000);
  a.down = false;
  await vi.advanceTimersByTimeAsync(5000);
  expect(a.heard.filter((event) => event === "register serving")).toHaveLength(2);
});

test("gives up a session in which a beat is not answered", async () => {
  await start().ready;
  a.answers = false;
  await vi.advanceTimersByTimeAsync(10_000);
  a.answers = true;
  await vi.advanceTimersByTimeAsync(200);
  expect(a.heard).toEqual(["register serving", "beat", "register serving"]);
});

test("drains, and knows that the registry knows", async () => {
  await start().ready;
  await announcement.drain();
  expect(a.heard).toEqual(["register serving", "state draining"]);
});

test("drains within a second when the registry does not answer", async () => {
  await start().ready;
  a.answers = false;
  let drained = false;
  const draining = announcement.drain().then(() => (drained = true));
  await vi.advanceTimersByTimeAsync(FAREWELL_MS - 1);
  expect(drained).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await draining;
});

test("stays draining when it registers again", async () => {
  await start().ready;
  await announcement.drain();
  a.lost = true;
  await vi.advanceTimersByTimeAsync(5000);
  expect(a.heard.at(-1)).toBe("register draining");
});

test("says goodbye to every gateway", async () => {
  await start(["a", "b"]).ready;
  await settle();
  await announcement.close();
  expect(a.heard).toEqual(["register serving", "leave"]);
  expect(b.heard).toEqual(["register serving", "leave"]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(a.heard).toHaveLength(2);
});

test("closes within a second when no gateway answers", async () => {
  a.down = true;
  start();
  await settle();
  const closed = announcement.close();
  await vi.advanceTimersByTimeAsync(FAREWELL_MS);
  await closed;
});

test("closes within a second when a gateway is stuck", async () => {
  await start().ready;
  a.stuck = true;
  const closed = announcement.close();
  await vi.advanceTimersByTimeAsync(FAREWELL_MS);
  await closed;
});

test("needs an endpoint", () => {
  start();
  expect(() => announce({ endpoints: [], instance: instanceOf(1) })).toThrow(TypeError);
});
