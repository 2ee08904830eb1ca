import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../clock.ts";
import { createMemberPool } from "./member-pool.ts";
import { failed, fakeConnection, type FakeConnection } from "./testing.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function poolOf(size: number, open?: () => Promise<void>) {
  const opened: FakeConnection[] = [];
  const gone = new Map<FakeConnection, () => void>();
  const pool = createMemberPool({
    member: "a:1",
    size,
    spare: 1,
    clock: systemClock,
    async open(onGone) {
      await open?.();
      const connection = fakeConnection("a:1");
      connection.close = () => lose(connection);
      gone.set(connection, onGone);
      opened.push(connection);
      return connection;
    },
  });
  const lose = (connection: FakeConnection) => {
    connection.usable = false;
    gone.get(connection)?.();
  };
  return { pool, opened, lose };
}

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => "none",
    (error: { code: string }) => error.code,
  );

describe("member pool", () => {
  test("uses the connection that was given back last", async () => {
    const { pool, opened } = poolOf(2);
    const [first, second] = await Promise.all([pool.acquire(100), pool.acquire(100)]);
    pool.release(first);
    pool.release(second);
    expect(await pool.acquire(100)).toBe(second);
    expect(opened).toHaveLength(2);
  });

  test("serves those who wait in order, and opens no more than its size", async () => {
    const { pool, opened } = poolOf(1);
    const held = await pool.acquire(100);
    const order: number[] = [];
    const waiting = [1, 2].map((i) => pool.acquire(100).then((each) => (order.push(i), pool.release(each))));
    expect(pool.load).toBe(3);
    pool.release(held);
    await Promise.all(waiting);
    expect(order).toEqual([1, 2]);
    expect(opened).toHaveLength(1);
    expect(pool.load).toBe(0);
  });

  test("lets nobody wait longer than promised", async () => {
    const { pool } = poolOf(1);
    await pool.acquire(100);
    const late = code(pool.acquire(100));
    await vi.advanceTimersByTimeAsync(100);
    expect(await late).toBe("ACQUIRE_TIMEOUT");
    expect(pool.load).toBe(1);
  });

  test("never hands out a connection that was lost, idle or in use", async () => {
    const { pool, opened, lose } = poolOf(1);
    const first = await pool.acquire(100);
    pool.release(first);
    lose(opened[0]!);
    const second = await pool.acquire(100);
    expect(second).not.toBe(first);
    lose(opened[1]!);
    const waiting = pool.acquire(100);
    pool.release(second);
    expect(await waiting).toBe(opened[2]);
  });

  test("tells everybody who waits why no connection can be opened", async () => {
    const { pool } = poolOf(1, () => Promise.reject(failed("ECONNREFUSED")));
    const codes = [1, 2, 3].map(() => code(pool.acquire(100)));
    expect(await Promise.all(codes)).toEqual(["ECONNREFUSED", "ECONNREFUSED", "ECONNREFUSED"]);
    expect(pool.load).toBe(0);
  });

  test("opens spare connections ahead, within its size", async () => {
    const { pool, opened } = poolOf(2);
    pool.warm(5);
    await vi.advanceTimersByTimeAsync(0);
    expect(opened).toHaveLength(2);
    pool.warm(5);
    await vi.advanceTimersByTimeAsync(0);
    expect(opened).toHaveLength(2);
  });

  test("closes what was not needed for ten seconds, except the spare ones", async () => {
    const { pool, opened } = poolOf(3);
    const connections = await Promise.all([1, 2, 3].map(() => pool.acquire(100)));
    for (const connection of connections) pool.release(connection);
    await vi.advanceTimersByTimeAsync(9000);
    pool.release(await pool.acquire(100));
    expect(opened.filter(({ usable }) => usable)).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(1000);
    expect(opened.map(({ usable }) => usable)).toEqual([false, false, true]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(opened.map(({ usable }) => usable)).toEqual([false, false, true]);
  });

  test("closes idle connections at once and those in use when they come back", async () => {
    const { pool, opened } = poolOf(2);
    const [first, second] = await Promise.all([pool.acquire(100), pool.acquire(100)]);
    pool.release(first);
    const waiting = [code(pool.acquire(100)), code(pool.acquire(100))];
    pool.close();
    expect(await waiting[1]).toBe("CONNECTION_CLOSED");
    expect(await code(pool.acquire(100))).toBe("CONNECTION_CLOSED");
    pool.release(second);
    expect(opened[1]!.usable).toBe(false);
  });
});
