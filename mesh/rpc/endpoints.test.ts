import { describe, expect, test } from "vitest";
import { seededRandom } from "../clock.ts";
import type { Connection, ConnectionState } from "./connection.ts";
import { createEjector } from "./eject.ts";
import { choose, createEndpointPool, type Choice, type Endpoint } from "./endpoints.ts";

function fakeConnection(address: string, state: ConnectionState = "ready") {
  const connection = {
    address,
    closed: false,
    state: () => state,
    open: () => {
      throw new Error("not in this test");
    },
    close: () => {
      connection.closed = true;
    },
  };
  return connection satisfies Connection;
}

function endpoint(address: string, state?: ConnectionState): Endpoint {
  const ejector = createEjector({ random: () => 0 });
  return { connection: fakeConnection(address, state), ejector, inFlight: 0 };
}

function eject({ ejector }: Endpoint): void {
  for (let i = 0; i < 5; i++) ejector.begin(0)("failure", 0);
}

const atZero = { monotonic: () => 0 };
const random = seededRandom(1);

function pick(endpoints: readonly Endpoint[], tried: readonly string[] = []): string | undefined {
  const choices = endpoints.map((endpoint): Choice => ({ endpoint, weight: 1 }));
  return choose(choices, new Set(tried), atZero, random)?.connection.address;
}

function shares(choices: readonly Choice[], picks: number, hold: boolean): number[] {
  for (let i = 0; i < picks; i++) {
    const chosen = choose(choices, undefined, atZero, random);
    if (hold && chosen !== undefined) chosen.inFlight += 1;
  }
  return choices.map(({ endpoint }) => endpoint.inFlight);
}

describe("choose", () => {
  test("takes connected endpoints only", () => {
    const all = [endpoint("a", "failing"), endpoint("b"), endpoint("c", "connecting"), endpoint("d", "idle")];
    for (let i = 0; i < 20; i++) expect(pick(all)).toBe("b");
    expect(pick([endpoint("a", "failing")])).toBeUndefined();
    expect(pick([])).toBeUndefined();
  });

  test("avoids what the call has tried while there is another", () => {
    const [a, b] = [endpoint("a"), endpoint("b")];
    for (let i = 0; i < 20; i++) expect(pick([a, b], ["a"])).toBe("b");
    expect(pick([a], ["a"])).toBe("a");
  });

  test("avoids what is ejected, but never gives up the last one", () => {
    const [a, b] = [endpoint("a"), endpoint("b")];
    eject(a);
    for (let i = 0; i < 20; i++) expect(pick([a, b])).toBe("b");
    expect(pick([a, b], ["b"])).toBe("b");
    eject(b);
    expect(["a", "b"]).toContain(pick([a, b]));
  });

  test("spreads calls evenly", () => {
    const counts = shares(
      ["a", "b", "c"].map((name) => ({ endpoint: endpoint(name), weight: 1 })),
      3000,
      true,
    );
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(5);
  });

  test("gives twice the calls to twice the weight", () => {
    const [light = 0, heavy = 0] = shares(
      [
        { endpoint: endpoint("a"), weight: 1 },
        { endpoint: endpoint("b"), weight: 2 },
      ],
      3000,
      true,
    );
    expect(heavy / light).toBeCloseTo(2, 1);
  });
});

describe("createEndpointPool", () => {
  const a = { instanceId: "1", address: "a:1" };

  test("connects once for all holders and closes after the last", () => {
    const dialled: ReturnType<typeof fakeConnection>[] = [];
    const pool = createEndpointPool((address) => {
      const connection = fakeConnection(address);
      dialled.push(connection);
      return connection;
    }, random);
    expect(pool.acquire(a)).toBe(pool.acquire(a));
    expect(dialled).toHaveLength(1);
    pool.release(a);
    expect(dialled[0]?.closed).toBe(false);
    pool.release(a);
    expect(dialled[0]?.closed).toBe(true);
    pool.acquire(a);
    expect(dialled).toHaveLength(2);
  });

  test("dials a process that was started again at the same address anew", () => {
    const pool = createEndpointPool((address) => fakeConnection(address), random);
    expect(pool.acquire(a)).not.toBe(pool.acquire({ ...a, instanceId: "another" }));
  });

  test("tells when a connection changes", async () => {
    let change = () => {};
    const pool = createEndpointPool((address, onStateChange) => {
      change = onStateChange;
      return fakeConnection(address);
    }, random);
    pool.acquire(a);
    const changed = pool.changed();
    change();
    await changed;
  });
});
