import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { systemClock } from "../clock.ts";
import { hasReason } from "../errors.ts";
import { deadlineIn } from "./deadline.ts";
import { STATEMENT_TIMEOUT } from "./errors.ts";
import { createHold } from "./hold.ts";
import { noSqlMetrics } from "./metrics.ts";
import { createReader, type Consistency } from "./reader.ts";
import { failed, fakeMonitor, fakePools, type Answer } from "./testing.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const [A, B, C] = ["a:1", "b:1", "c:1"];
const WAIT = "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, ?) AS late";

function readerOf(answer: Answer, { token = "", preferMember = 2, busy = [] as string[] } = {}) {
  const monitor = fakeMonitor([A, B, C]);
  const { pool, log } = fakePools(answer, busy);
  const hold = createHold({ monitor, max: 10, clock: systemClock });
  const read = createReader({
    monitor,
    hold,
    pool,
    preferMember,
    acquireMs: 1500,
    statementMs: 3000,
    clock: systemClock,
    random: () => 0.5,
    metrics: noSqlMetrics,
    token: () => token,
  });
  const run = async (
    consistency: Consistency,
    statements = ["SELECT 1"],
    done = () => undefined as unknown,
  ) => {
    const result = read(
      async (q) => {
        let rows: unknown[] = [];
        for (const sql of statements) rows = await q.query(sql);
        done();
        return rows;
      },
      consistency,
      deadlineIn(15_000, systemClock),
    ).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(20_000);
    return result;
  };
  return { monitor, run, log };
}

const rows = { rows: [{ one: 1 }] };

describe("reader", () => {
  test("reads from the primary by default intent, from the preferred member otherwise", async () => {
    const { run, log } = readerOf(() => rows);
    await run("primary");
    await run("eventual");
    await run("session");
    await run("strong");
    expect(log).toEqual([A, B, B, B].map((member) => `${member}: SELECT 1`));
  });

  test("waits for the token once, on the member that answers all statements of the read", async () => {
    const { run, log } = readerOf((sql) => (sql === WAIT ? { rows: [{ late: 0 }] } : rows), { token: "t:1" });
    expect(await run("session", ["SELECT 1", "SELECT 2"])).toEqual([{ one: 1 }]);
    expect(log).toEqual([`${B}: ${WAIT}`, `${B}: SELECT 1`, `${B}: SELECT 2`]);
  });

  test("asks the primary, without a second wait, when the token does not come", async () => {
    const { run, log } = readerOf((sql) => (sql === WAIT ? { rows: [{ late: 1 }] } : rows), { token: "t:1" });
    expect(await run("session", ["SELECT 1", "SELECT 2"])).toEqual([{ one: 1 }]);
    expect(log).toEqual([`${B}: ${WAIT}`, `${A}: SELECT 1`, `${A}: SELECT 2`]);
  });

  test("asks who is the primary now before it falls back to it: the former one may not know", async () => {
    const { monitor, run, log } = readerOf((sql) => (sql === WAIT ? { rows: [{ late: 1 }] } : rows), {
      token: "t:1",
      preferMember: 1,
    });
    monitor.refresh = async () => monitor.set({ writer: C, readers: [B, C] });
    await run("session");
    expect(log).toEqual([`${A}: ${WAIT}`, `${C}: SELECT 1`]);
  });

  test("keeps asking members for the token while there is no primary", async () => {
    const begin = Date.now();
    const { monitor, run } = readerOf(
      (sql) => (sql === WAIT ? { rows: [{ late: Date.now() - begin < 300 ? 1 : 0 }] } : rows),
      { token: "t:1" },
    );
    monitor.set({ writer: undefined });
    expect(await run("session")).toEqual([{ one: 1 }]);
  });

  test("never waits for a primary because of a token: a member that can answer does", async () => {
    let isFrozen = true;
    const { monitor, run, log } = readerOf(
      (sql, member) => {
        if (member === A) return new Promise(() => undefined);
        if (sql === WAIT) return { rows: [{ late: isFrozen ? 1 : 0 }] };
        return rows;
      },
      { token: "t:1" },
    );
    monitor.answers = async (address) => address !== A;
    setTimeout(() => (isFrozen = false), 300);
    const begin = Date.now();
    let tookMs = 0;
    expect(await run("session", ["SELECT 1"], () => (tookMs = Date.now() - begin))).toEqual([{ one: 1 }]);
    expect(tookMs).toBeLessThan(600);
    expect(log.filter((line) => line.startsWith(A))).toHaveLength(1);
  });

  test("tries the others when a member has no connection to give, and says so only when none has", async () => {
    const { monitor, run, log } = readerOf(() => rows, { busy: [B] });
    expect(await run("eventual")).toEqual([{ one: 1 }]);
    expect(log).toHaveLength(1);
    monitor.set({ writer: A, readers: [B] });
    expect(hasReason(await run("eventual"), Reason.POOL_EXHAUSTED)).toBe(true);
  });

  test("does not try others for a read that wants the primary", async () => {
    const { run, log } = readerOf(() => rows, { busy: [A] });
    expect(hasReason(await run("primary"), Reason.POOL_EXHAUSTED)).toBe(true);
    expect(log).toEqual([]);
  });

  test("moves to another member when one is lost in the middle of a read", async () => {
    let isLost = false;
    const { run, log } = readerOf((sql, member) => {
      if (member === B && sql === "SELECT 2") isLost = true;
      if (member === B && isLost) throw failed("ECONNRESET", B);
      return rows;
    });
    expect(await run("eventual", ["SELECT 1", "SELECT 2", "SELECT 3"])).toEqual([{ one: 1 }]);
    const others = log.filter((line) => !line.startsWith(B));
    expect(log.slice(0, 2)).toEqual([`${B}: SELECT 1`, `${B}: SELECT 2`]);
    expect(others.map((line) => line.slice(5))).toEqual(["SELECT 2", "SELECT 3"]);
  });

  test("waits for the token on the member it has moved to as well", async () => {
    const { run, log } = readerOf(
      (sql, member) => {
        if (sql === WAIT) return { rows: [{ late: 0 }] };
        if (member === B) throw failed("ECONNRESET", B);
        return rows;
      },
      { token: "t:1" },
    );
    await run("session");
    const last = log.at(-1)!.slice(0, 3);
    expect(log.slice(-2)).toEqual([`${last}: ${WAIT}`, `${last}: SELECT 1`]);
    expect(last).not.toBe(B);
  });

  test("leaves a member that is frozen long before its statement times out", async () => {
    const { monitor, run, log } = readerOf((_sql, member) => {
      if (member !== B) return rows;
      return new Promise((_, reject) => setTimeout(() => reject(failed(STATEMENT_TIMEOUT, B)), 3000));
    });
    monitor.answers = (address) => new Promise((resolve) => setTimeout(() => resolve(address !== B), 80));
    const begin = Date.now();
    let tookMs = 0;
    const read = run("eventual", ["SELECT 1"], () => (tookMs = Date.now() - begin));
    expect(await read).toEqual([{ one: 1 }]);
    expect(tookMs).toBeLessThan(200);
    expect(log.map((line) => line.slice(0, 3))).toEqual([B, expect.not.stringMatching(B)]);
  });

  test("waits for a primary if the read wants it", async () => {
    const { monitor, run, log } = readerOf(() => rows);
    monitor.set({ writer: undefined });
    setTimeout(() => monitor.set({ writer: C }), 5000);
    expect(await run("primary")).toEqual([{ one: 1 }]);
    expect(log).toEqual([`${C}: SELECT 1`]);
  });

  test("a slow statement of a member that is well is not tried elsewhere", async () => {
    const { run, log } = readerOf(() => {
      throw failed(STATEMENT_TIMEOUT, B);
    });
    expect(hasReason(await run("eventual"), Reason.STATEMENT_TIMEOUT)).toBe(true);
    expect(log).toHaveLength(1);
  });

  test.each([1792, 1290])("a write (%s) is a misuse", async (code) => {
    const { run } = readerOf(() => {
      throw failed(code, B);
    });
    expect(hasReason(await run("eventual"), Reason.DATABASE_MISUSE)).toBe(true);
  });

  test("says so when no member can be read", async () => {
    const { monitor, run } = readerOf(() => rows);
    monitor.set({ writer: undefined, readers: [] });
    expect(hasReason(await run("eventual"), Reason.NO_PRIMARY)).toBe(true);
  });
});
