import { describe, expect, test } from "vitest";
import { OperationKind, Status } from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { systemClock } from "../clock.ts";
import { startRoute, Unreachable, type Receiver, type Surroundings } from "./route.ts";
import { operation, result, type Operation, type Result } from "./session-codec.ts";

interface Asked {
  readonly node: string;
  readonly op: Operation;
  readonly receiver: Receiver;
}

/** A route whose nodes say what the test says. */
function start(parts: Partial<Operation> = {}, hedge?: Surroundings["hedge"]) {
  let now = 0;
  const asked: Asked[] = [];
  const answers: Result[] = [];
  const nodes: (string | undefined)[] = [];
  const around: Surroundings = {
    clock: { ...systemClock, monotonic: () => now, after: (_delayMs, callback) => (callback(), () => {}) },
    connectionTo: (node) => ({
      send: (op, _timeoutMs, receiver) => void asked.push({ node, op: { ...op }, receiver }),
    }),
    ...(hedge === undefined ? {} : { hedge }),
  };
  const op = operation({ kind: OperationKind.GET, key: Buffer.from("n:k"), ...parts });
  startRoute(around, op, ["a", "b", "c"], 1000, (answer, node) => {
    answers.push(answer);
    nodes.push(node);
  });
  return {
    asked,
    answers,
    nodes,
    pass: (ms: number) => (now += ms),
    last: () => asked.at(-1) as Asked,
    answer: (status: Status, more: Partial<Result> = {}) =>
      (asked.at(-1) as Asked).receiver.answered(result({ status, ...more })),
    fail: (state: { maybeExecuted: boolean; isSilent?: boolean }) =>
      (asked.at(-1) as Asked).receiver.unreachable(new Unreachable("gone", state)),
  };
}

const refused = { maybeExecuted: false };
const lost = { maybeExecuted: true };
const silent = { maybeExecuted: true, isSilent: true };

describe("a read", () => {
  test("goes to the next node, as to a stand-in, when one is gone", () => {
    const route = start();
    route.fail(lost);
    expect(route.last()).toMatchObject({ node: "b", op: { standIn: true } });
    route.answer(Status.OK);
    expect(route.nodes).toEqual(["b"]);
  });

  test("believes a node that is not filled yet once all others that live have said that they lack the key", () => {
    const route = start();
    route.fail(refused);
    route.answer(Status.WARMING);
    route.answer(Status.WARMING);
    expect(route.last()).toMatchObject({ node: "b", op: { cold: true, standIn: true } });
    route.answer(Status.MISS);
    expect(route.answers.map(({ status }) => status)).toEqual([Status.MISS]);
  });

  test("asks a silent node that may have the key again, and is never told MISS before that answers", () => {
    const route = start();
    const round = () => {
      route.answer(Status.WARMING);
      route.fail(silent);
      route.answer(Status.WARMING);
      route.pass(50);
    };
    round();
    expect(route.last()).toMatchObject({ node: "a", op: { standIn: false, cold: false } });
    round();
    expect(route.answers).toEqual([]);
    route.pass(1001);
    round();
    expect(route.answers.map(({ status }) => status)).toEqual([Status.UNAVAILABLE]);
  });

  test("follows NOT_OWNER to the owners that the node names", () => {
    const route = start();
    route.answer(Status.NOT_OWNER, { owners: ["x", "y"] });
    expect(route.last()).toMatchObject({ node: "x", op: { standIn: false } });
  });

  test("gives up on nodes that send it in circles", () => {
    const route = start();
    for (let count = 0; count < 30 && route.answers.length === 0; count++) {
      route.answer(Status.NOT_OWNER, { owners: ["x"] });
    }
    expect(route.answers[0]?.message).toMatch(/do not agree/);
  });

  test("asks nobody any more once its time is over", () => {
    const route = start();
    route.pass(1001);
    route.fail(silent);
    expect(route.asked).toHaveLength(1);
    expect(route.answers[0]?.status).toBe(Status.UNAVAILABLE);
  });
});

describe("a read that is late", () => {
  const hedge: Surroundings["hedge"] = (op) => ({ ...op, standIn: true, minVersion: 7 });

  test("takes the value of the second node if that is faster, and not the one that comes after", () => {
    const route = start({}, hedge);
    const first = route.last();
    first.receiver.late?.();
    expect(route.last()).toMatchObject({ node: "b", op: { minVersion: 7 } });
    route.answer(Status.OK, { version: 8 });
    first.receiver.answered(result({ status: Status.OK, version: 9 }));
    expect(route.answers.map(({ version }) => version)).toEqual([8]);
  });

  test("does not believe the second node that there is nothing", () => {
    const route = start({}, hedge);
    const first = route.last();
    first.receiver.late?.();
    route.answer(Status.MISS);
    expect(route.answers).toEqual([]);
    first.receiver.answered(result({ status: Status.OK, version: 9 }));
    expect(route.answers).toHaveLength(1);
  });

  test("asks nobody else without a budget", () => {
    const route = start({}, () => undefined);
    route.last().receiver.late?.();
    expect(route.asked).toHaveLength(1);
  });
});

describe("a conditional write", () => {
  test("is not tried again where it may have happened", () => {
    const route = start({ kind: OperationKind.SET, ifVersion: 3 });
    route.fail(lost);
    expect(route.asked).toHaveLength(1);
    expect(route.answers[0]?.status).toBe(Status.UNAVAILABLE);
  });

  test("is tried at the next node where it was not sent", () => {
    const route = start({ kind: OperationKind.SET, ifAbsent: true });
    route.fail(refused);
    expect(route.last().node).toBe("b");
  });
});
