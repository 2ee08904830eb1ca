import { describe, expect, test } from "vitest";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { hasReason } from "../errors.ts";
import type { Tx } from "./queryable.ts";
import { failed, fakeConnection, type Answer } from "./testing.ts";
import { RunFailed, runTransaction } from "./transaction.ts";

async function run(work: (tx: Tx) => Promise<unknown>, answer?: Answer) {
  const connection = fakeConnection("a:1", answer);
  const limits = { statementMs: () => 3000, commitMs: 3000 };
  const result = await runTransaction(connection, work, limits).catch((error: unknown) => error);
  return { connection, result };
}

const failing =
  (sql: string, code: number | string): Answer =>
  (statement) => {
    if (statement === sql) throw failed(code);
    return {};
  };

describe("runTransaction", () => {
  test.each([
    ["BEGIN", "ECONNRESET", "unsent"],
    ["one", "ECONNRESET", "sent"],
    ["one", 1213, "sent"],
    ["COMMIT", "ECONNRESET", "committing"],
  ])("an error at %s (%s) says that it was %s", async (sql, code, phase) => {
    const { result } = await run((tx) => tx.execute("one"), failing(sql, code));
    expect(result).toBeInstanceOf(RunFailed);
    expect(result).toMatchObject({ phase, error: { code: String(code) } });
  });

  test("rolls back what threw, and throws it as it is", async () => {
    const thrown = new Error("mine");
    const { result, connection } = await run(async (tx) => {
      await tx.execute("one");
      throw thrown;
    });
    expect(result).toBe(thrown);
    expect(connection.statements).toEqual(["BEGIN", "one", "ROLLBACK"]);
  });

  test.each([1213, 1290, "ECONNRESET"])(
    "does not commit after %s, even if the work caught it",
    async (code) => {
      const { result, connection } = await run(
        async (tx) => {
          await tx.execute("one").catch(() => undefined);
          await tx.execute("two").catch(() => undefined);
        },
        failing("one", code),
      );
      expect(result).toMatchObject({ error: { code: String(code) } });
      expect(connection.statements).not.toContain("two");
      expect(connection.statements).not.toContain("COMMIT");
    },
  );

  test("goes on after a statement that failed alone", async () => {
    const { result, connection } = await run(
      async (tx) => {
        await tx.execute("one").catch(() => undefined);
        return "fine";
      },
      failing("one", 1062),
    );
    expect(result).toMatchObject({ value: "fine" });
    expect(connection.statements.at(-1)).toBe("COMMIT");
  });

  test("notices that the server has lost the transaction, so that half of it is never taken for all", async () => {
    const { result, connection } = await run(
      async (tx) => {
        await tx.execute("one");
        await tx.execute("two").catch(() => undefined);
      },
      (sql) => ({ affectedRows: 1, inTransaction: sql !== "one" }),
    );
    expect(result).toMatchObject({ error: { code: "TRANSACTION_GONE" } });
    expect(connection.statements).toEqual(["BEGIN", "one"]);
  });

  test("lets DDL, which commits by itself, stand alone", async () => {
    const ddl: Answer = (sql) => ({ inTransaction: sql !== "CREATE TABLE" });
    expect((await run((tx) => tx.execute("CREATE TABLE"), ddl)).result).toMatchObject({
      value: { affectedRows: 0 },
    });
    const { result } = await run(async (tx) => {
      await tx.execute("CREATE TABLE");
      await tx.execute("INSERT");
    }, ddl);
    expect(hasReason(result, Reason.DATABASE_MISUSE)).toBe(true);
  });

  test("an error of another database is the work's own", async () => {
    const foreign = failed("ECONNRESET", "elsewhere:1");
    const { result } = await run(() => Promise.reject(foreign));
    expect(result).toBe(foreign);
  });

  test("drops the connection if a statement was not awaited", async () => {
    const { result, connection } = await run(
      async (tx) => {
        tx.execute("one").catch(() => undefined);
      },
      (sql) => (sql === "one" ? new Promise(() => undefined) : {}),
    );
    expect(hasReason(result, Reason.DATABASE_MISUSE)).toBe(true);
    expect(connection.usable).toBe(false);
    expect(connection.statements).not.toContain("COMMIT");
  });

  test("drops the connection if it can't roll back", async () => {
    const { connection } = await run(() => Promise.reject(new Error("mine")), failing("ROLLBACK", 1064));
    expect(connection.usable).toBe(false);
  });
});
