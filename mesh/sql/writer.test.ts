import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { systemClock } from "../clock.ts";
import { hasReason } from "../errors.ts";
import { deadlineIn } from "./deadline.ts";
import { KeyBusy, STATEMENT_TIMEOUT, type SqlError } from "./errors.ts";
import { createHold } from "./hold.ts";
import { noSqlMetrics } from "./metrics.ts";
import { failed, fakeMonitor, fakePools, type Answer } from "./testing.ts";
import { createWriter } from "./writer.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const [A, B] = ["a:1", "b:1"];

function writerOf(answer: Answer) {
  const monitor = fakeMonitor([A, B]);
  const { pool, log } = fakePools(answer);
  const hold = createHold({ monitor, max: 10, clock: systemClock });
  const commits: string[] = [];
  const unknown: boolean[] = [];
  const write = createWriter({
    monitor,
    hold,
    pool,
    acquireMs: 1500,
    statementMs: 3000,
    clock: systemClock,
    random: () => 0.5,
    metrics: { ...noSqlMetrics, unknown: (isRerun) => unknown.push(isRerun) },
    onCommit: (gtids) => commits.push(gtids),
  });
  /** Writes one row; time passes as needed. */
  const run = async (canRerun = false) => {
    const result = write((tx) => tx.execute("INSERT"), canRerun, deadlineIn(15_000, systemClock)).catch(
      (error: unknown) => error,
    );
    await vi.advanceTimersByTimeAsync(20_000);
    return result;
  };
  return { monitor, run, log, commits, unknown };
}

/** Throws the error at the first `times` statements that are `sql`. */
function failing(sql: string, error: SqlError, times = 1): Answer {
  let left = times;
  return (statement) => {
    if (statement === sql && left-- > 0) throw error;
    return { affectedRows: 1, gtids: statement === "COMMIT" ? "gtid" : "" };
  };
}

describe("writer", () => {
  test("begins, works, commits, and tells the transaction's GTID", async () => {
    const { run, log, commits } = writerOf(() => ({ affectedRows: 1, gtids: "gtid" }));
    expect(await run()).toEqual({ affectedRows: 1, insertId: 0 });
    expect(log).toEqual([`${A}: BEGIN`, `${A}: INSERT`, `${A}: COMMIT`]);
    expect(commits).toEqual(["gtid"]);
  });

  test("goes to the new primary when the member turns out to be read only", async () => {
    const { monitor, run, log } = writerOf((sql, member) => {
      if (member === A && sql === "INSERT") {
        monitor.set({ writer: B });
        throw failed(1290);
      }
      return {};
    });
    await run();
    expect(log).toEqual([
      `${A}: BEGIN`,
      `${A}: INSERT`,
      `${A}: ROLLBACK`,
      `${B}: BEGIN`,
      `${B}: INSERT`,
      `${B}: COMMIT`,
    ]);
    expect(monitor.suspected).toEqual([A]);
  });

  test("waits for a primary after a lost connection, and works on it", async () => {
    const { monitor, run, log } = writerOf((sql, member) => {
      if (member === A && sql === "INSERT") {
        monitor.set({ writer: undefined });
        setTimeout(() => monitor.set({ writer: B }), 7000);
        throw failed("ECONNRESET");
      }
      return { affectedRows: 1 };
    });
    expect(await run()).toMatchObject({ affectedRows: 1 });
    expect(log.slice(2)).toEqual([`${B}: BEGIN`, `${B}: INSERT`, `${B}: COMMIT`]);
  });

  test.each([1213, 1205, 3101])("runs the transaction again after %s", async (code) => {
    const { run, log } = writerOf(failing("INSERT", failed(code), 3));
    expect(await run()).toMatchObject({ affectedRows: 1 });
    expect(log.filter((line) => line.endsWith("INSERT"))).toHaveLength(4);
    expect(log.filter((line) => line.endsWith("ROLLBACK"))).toHaveLength(3);
  });

  test("gives up after the fourth conflict", async () => {
    const { run, log } = writerOf(failing("INSERT", failed(1213), Infinity));
    expect(hasReason(await run(), Reason.TRANSACTION_CONFLICT)).toBe(true);
    expect(log.filter((line) => line.endsWith("INSERT"))).toHaveLength(4);
  });

  test("says that the same call is still running if its key stays locked", async () => {
    const { run } = writerOf(failing("INSERT", new KeyBusy(failed(1205)), Infinity));
    expect(hasReason(await run(), Reason.IN_PROGRESS)).toBe(true);
  });

  test.each(["ECONNRESET", "PROTOCOL_CONNECTION_LOST", STATEMENT_TIMEOUT, 1053, 3100])(
    "after %s during commit it reports the outcome as unknown, and commits nothing twice",
    async (code) => {
      const { monitor, run, log, unknown } = writerOf(failing("COMMIT", failed(code)));
      monitor.answers = () => Promise.resolve(false);
      expect(hasReason(await run(false), Reason.OUTCOME_UNKNOWN)).toBe(true);
      expect(log.filter((line) => line.endsWith("COMMIT"))).toHaveLength(1);
      expect(unknown).toEqual([false]);
    },
  );

  test("after a connection lost during commit it runs again what can find out by itself", async () => {
    const { run, log, unknown } = writerOf(failing("COMMIT", failed("ECONNRESET")));
    expect(await run(true)).toMatchObject({ affectedRows: 1 });
    expect(log.filter((line) => line.endsWith("COMMIT"))).toHaveLength(2);
    expect(unknown).toEqual([true]);
  });

  test("reports a transaction that the server had lost, even if the work could find out", async () => {
    const { run, log } = writerOf((sql) => ({ affectedRows: 1, inTransaction: sql !== "INSERT" }));
    expect(hasReason(await run(true), Reason.OUTCOME_UNKNOWN)).toBe(true);
    expect(log).toEqual([`${A}: BEGIN`, `${A}: INSERT`]);
  });

  test("a transaction that is too large for the group fails, although the code is that of a lost member", async () => {
    const { run } = writerOf(failing("COMMIT", failed(3100)));
    expect(await run(true)).toMatchObject({ errno: 3100 });
  });

  test("a slow statement of a member that is well is not tried again", async () => {
    const { run, log } = writerOf(failing("INSERT", failed(STATEMENT_TIMEOUT)));
    expect(hasReason(await run(), Reason.STATEMENT_TIMEOUT)).toBe(true);
    expect(log.filter((line) => line.endsWith("INSERT"))).toHaveLength(1);
  });

  test("a slow statement of a member that has been lost is tried on the next one", async () => {
    const { monitor, run, log } = writerOf((sql, member) => {
      if (member === B || sql !== "INSERT") return {};
      monitor.set({ writer: B });
      throw failed(STATEMENT_TIMEOUT);
    });
    await run();
    expect(log.at(-1)).toBe(`${B}: COMMIT`);
  });

  test.each([1062, 1064, 3098])("the caller's error %s comes through as it is", async (code) => {
    const { run, log } = writerOf(failing("INSERT", failed(code)));
    expect(await run(true)).toMatchObject({ errno: code, member: A });
    expect(log).toEqual([`${A}: BEGIN`, `${A}: INSERT`, `${A}: ROLLBACK`]);
  });

  test("an account that is refused is told at once", async () => {
    const { run, log } = writerOf(failing("BEGIN", failed(1045)));
    expect(hasReason(await run(), Reason.DATABASE_REFUSED)).toBe(true);
    expect(log).toHaveLength(1);
  });

  test("gives up when the time is over", async () => {
    const { run } = writerOf(failing("INSERT", failed("ECONNRESET"), Infinity));
    expect(hasReason(await run(), Reason.NO_PRIMARY)).toBe(true);
  });
});
