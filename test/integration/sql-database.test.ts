/** A database of one member: what writes, reads and migrations promise while nothing breaks, and for wrong input. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { createConnection } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Registry } from "prom-client";
import { startTestGroup, type TestGroup } from "../../infra/mysql/testing.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { hasReason } from "../../mesh/errors.ts";
import { currentTokens, inSession, Tokens } from "../../mesh/sql/consistency.ts";
import { createDatabase, type Database, type DatabaseOptions, type Tx } from "../../mesh/sql/database.ts";
import { isDuplicateKey } from "../../mesh/sql/errors.ts";
import { migrate } from "../../mesh/sql/migrate.ts";

let group: TestGroup;
let db: Database;
let folder: string;
const opened: Database[] = [];

async function open(options: Partial<DatabaseOptions> = {}): Promise<Database> {
  const password = await group.password("order");
  const made = createDatabase({ seeds: group.seeds, database: "order", user: "order", password, ...options });
  opened.push(made);
  return made;
}

beforeAll(async () => {
  group = await startTestGroup();
  folder = await mkdtemp(join(tmpdir(), "heddle-migrations-"));
  await writeFile(
    join(folder, "001_notes.sql"),
    "CREATE TABLE notes (id INT PRIMARY KEY, text VARCHAR(100), big BIGINT, at DATETIME(3), data BLOB);",
  );
  db = await open();
  await migrate(db, folder);
});

afterAll(async () => {
  await Promise.all(opened.map((each) => each.close(100)));
  await group?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** As the operator of the member, over its socket. */
async function asRoot(sql: string): Promise<void> {
  const connection = await createConnection({ socketPath: join(group.folder, "n1.sock"), user: "root" });
  await connection.query(sql);
  await connection.end();
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable("it should have failed"),
    (error: unknown) => error as Error & { code: unknown },
  );

describe("write", () => {
  test("commits what it did and answers what the work answered", async () => {
    const { insertId, affectedRows } = await db.write((tx) =>
      tx.execute("INSERT INTO notes (id, text) VALUES (?, ?)", [1, "it's here"]),
    );
    expect({ insertId, affectedRows }).toEqual({ insertId: 0, affectedRows: 1 });
    expect(await db.read((q) => q.query("SELECT text FROM notes WHERE id = 1"))).toEqual([
      { text: "it's here" },
    ]);
  });

  test("leaves nothing behind when the work throws", async () => {
    const thrown = new Error("changed my mind");
    const error = await failure(
      db.write(async (tx) => {
        await tx.execute("INSERT INTO notes (id) VALUES (2)");
        throw thrown;
      }),
    );
    expect(error).toBe(thrown);
    expect(await db.read((q) => q.query("SELECT id FROM notes WHERE id = 2"))).toEqual([]);
  });

  test("goes on after an error that the work has caught", async () => {
    await db.write((tx) => tx.execute("INSERT INTO notes (id) VALUES (3)"));
    const isThere = await db.write(async (tx) => {
      await tx.execute("INSERT INTO notes (id) VALUES (4)");
      return tx.execute("INSERT INTO notes (id) VALUES (3)").then(() => false, isDuplicateKey);
    });
    expect(isThere).toBe(true);
    expect(await db.read((q) => q.query("SELECT id FROM notes WHERE id IN (?)", [[3, 4]]))).toHaveLength(2);
  });

  test("says of an error which statement it was, without values, and who ran it", async () => {
    await db.write((tx) => tx.execute("INSERT INTO notes (id) VALUES (8)"));
    const insertAgain = async (tx: Tx) => {
      await tx.execute("INSERT INTO notes (id) VALUES (?)", [8]);
    };
    const error = await failure(db.write(insertAgain));
    expect(error).toMatchObject({ code: "ER_DUP_ENTRY", statement: "INSERT INTO notes (id) VALUES (?)" });
    expect(error.stack).toContain("insertAgain");
  });

  test("happens once for each key, and answers the same again", async () => {
    const write = () =>
      db.write(
        async (tx) => {
          await tx.execute("INSERT INTO notes (id) VALUES (5)");
          return { id: 5 };
        },
        { key: "note-5" },
      );
    expect([await write(), await write()]).toEqual([{ id: 5 }, { id: 5 }]);
  });

  test("happens once for each key when asked for at the same time", async () => {
    let runs = 0;
    const write = () =>
      db.write(
        async (tx) => {
          runs++;
          await tx.execute("INSERT INTO notes (id) VALUES (6)");
          return "made";
        },
        { key: "note-6" },
      );
    expect(await Promise.all([write(), write(), write(), write()])).toEqual(["made", "made", "made", "made"]);
    expect(runs).toBe(1);
  });

  test("is run again after a deadlock until it is through", async () => {
    await db.write((tx) => tx.execute("INSERT INTO notes (id, big) VALUES (10, 0), (11, 0)"));
    const add = (first: number, second: number) =>
      db.write(async (tx) => {
        await tx.execute("UPDATE notes SET big = big + 1 WHERE id = ?", [first]);
        await tx.query("SELECT SLEEP(0.05)");
        await tx.execute("UPDATE notes SET big = big + 1 WHERE id = ?", [second]);
      });
    await Promise.all([add(10, 11), add(11, 10)]);
    expect(await db.read((q) => q.query("SELECT big FROM notes WHERE id IN (10, 11)"))).toEqual([
      { big: 2 },
      { big: 2 },
    ]);
  });

  test("is run again as a whole even if the work swallowed the deadlock", async () => {
    await db.write((tx) => tx.execute("INSERT INTO notes (id, big) VALUES (12, 0), (13, 0)"));
    const swallowing = (first: number, second: number, mark: number) =>
      db.write(async (tx) => {
        await tx.execute("UPDATE notes SET big = big + 1 WHERE id = ?", [first]);
        await tx.query("SELECT SLEEP(0.05)");
        await tx.execute("UPDATE notes SET big = big + 1 WHERE id = ?", [second]).catch(() => undefined);
        // Without its transaction this statement would commit by itself.
        await tx.execute("INSERT INTO notes (id, text) VALUES (?, 'half')", [mark]).catch(() => undefined);
      });
    await Promise.all([swallowing(12, 13, 14), swallowing(13, 12, 15)]);
    expect(await db.read((q) => q.query("SELECT big FROM notes WHERE id IN (12, 13)"))).toEqual([
      { big: 2 },
      { big: 2 },
    ]);
  });

  test("refuses another operation of the database within it", async () => {
    const nested = await failure(db.write(() => db.read((q) => q.query("SELECT 1"))));
    expect(hasReason(nested, Reason.DATABASE_MISUSE)).toBe(true);
    expect(nested.message).toContain("use its tx");
  });

  test("refuses its transaction once it is over, and a statement that nobody awaited", async () => {
    let leaked: Parameters<Parameters<Database["write"]>[0]>[0] | undefined;
    await db.write(async (tx) => {
      leaked = tx;
    });
    expect((await failure(leaked!.query("SELECT 1"))).message).toContain("the transaction is over");
    const forgotten = await failure(
      db.write(async (tx) => {
        tx.execute("INSERT INTO notes (id) VALUES (20)").catch(() => undefined);
      }),
    );
    expect(forgotten.message).toContain("not awaited");
    expect(await db.read((q) => q.query("SELECT id FROM notes WHERE id = 20"))).toEqual([]);
  });

  test("kills a statement that runs too long, and says so", async () => {
    const hasty = await open({ statementMs: 200 });
    const error = await failure(hasty.write((tx) => tx.query("SELECT SLEEP(20), 'too long'")));
    expect(hasReason(error, Reason.STATEMENT_TIMEOUT)).toBe(true);
    await expect
      .poll(() =>
        db.read((q) =>
          q.query("SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(20)%'"),
        ),
      )
      .toEqual([]);
    expect(await hasty.write((tx) => tx.query("SELECT 1 AS one"))).toEqual([{ one: 1 }]);
  });

  test("does not wait for a connection for ever", async () => {
    const small = await open({ poolSize: 1, acquireMs: 100 });
    await small.read((q) => q.query("SELECT 1"));
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const long = small.write(() => held);
    const error = await failure(small.write(async () => undefined));
    expect(hasReason(error, Reason.POOL_EXHAUSTED)).toBe(true);
    release();
    await long;
  });
});

describe("read", () => {
  test("gives numbers, times, bytes and text as they were written", async () => {
    const at = new Date("2026-11-21T12:34:56.789Z");
    const row = { id: 30, text: "ü\\'\"", big: "9007199254740993", at, data: Buffer.from([0, 255, 39]) };
    await db.write((tx) =>
      tx.execute("INSERT INTO notes (id, text, big, at, data) VALUES (?)", [Object.values(row)]),
    );
    expect(await db.read((q) => q.query("SELECT * FROM notes WHERE id = 30"))).toEqual([row]);
  });

  test("refuses an object as a parameter, which would change the statement", async () => {
    const params = [{ id: 1 }] as never;
    await expect(db.read((q) => q.query("SELECT * FROM notes WHERE id = ?", params))).rejects.toThrow(
      TypeError,
    );
  });

  test("can't write, on the primary neither", async () => {
    for (const consistency of ["primary", "session", "strong", "eventual"] as const) {
      const error = await failure(db.read((q) => q.query("DELETE FROM notes"), { consistency }));
      expect(hasReason(error, Reason.DATABASE_MISUSE)).toBe(true);
    }
  });

  test("sees what the session has written", async () => {
    await inSession(async () => {
      await db.write((tx) => tx.execute("INSERT INTO notes (id) VALUES (31)"));
      expect(currentTokens()?.header()).toMatch(/^order=[0-9a-f-]{36}:\d+$/);
      const read = () =>
        db.read((q) => q.query("SELECT id FROM notes WHERE id = 31"), { consistency: "session" });
      expect(await read()).toEqual([{ id: 31 }]);
    });
  });

  test("answers in spite of a token of another group or of the future", async () => {
    for (const gtids of ["11111111-2222-3333-4444-555555555555:1-5", "garbage", ":::", "order=1"]) {
      const tokens = new Tokens();
      tokens.read(`order=${gtids}`);
      const rows = inSession(
        () => db.read((q) => q.query("SELECT 1 AS one"), { consistency: "session" }),
        tokens,
      );
      expect(await rows).toEqual([{ one: 1 }]);
    }
  });
});

describe("ca", () => {
  test("encrypts, and goes to no member whose certificate somebody else has signed", async () => {
    const ca = await readFile(join(group.folder, "n1", "ca.pem"), "utf8");
    const cipher = "SHOW SESSION STATUS LIKE 'Ssl_cipher'";
    const encrypted = await open({ ca });
    expect(await encrypted.write((tx) => tx.query(cipher))).toMatchObject([
      { Value: expect.stringMatching(/^TLS_/) },
    ]);
    expect(await db.write((tx) => tx.query(cipher))).toMatchObject([{ Value: "" }]);
    const other = rootCertificates[0]!;
    const error = await failure((await open({ ca: other, holdMs: 500 })).write((tx) => tx.query(cipher)));
    expect(error.message).toMatch(/no primary.*certificate/);
  });
});

describe("wrong input", () => {
  test("an unknown schema is named at once, with the member", async () => {
    const none = await open({ database: "nowhere" });
    const error = await failure(none.write((tx) => tx.query("SELECT 1")));
    expect(hasReason(error, Reason.DATABASE_REFUSED)).toBe(true);
    expect(error.message).toMatch(/127\.0\.0\.1:\d+.*nowhere/);
  });

  test("a wrong password is named at once, with the member, and never shown", async () => {
    const wrong = await open({ password: "open sesame" });
    const error = await failure(wrong.read((q) => q.query("SELECT 1")));
    expect(hasReason(error, Reason.DATABASE_REFUSED)).toBe(true);
    expect(error.message).toMatch(/127\.0\.0\.1:\d+: Access denied for user 'order'/);
    expect(error.message).not.toContain("sesame");
  });

  test("no member that listens: the write is held, then refused with the member and when to come back", async () => {
    const nobody = await open({ seeds: ["127.0.0.1:1"], holdMs: 300 });
    const error = await failure(nobody.write((tx) => tx.query("SELECT 1")));
    expect(hasReason(error, Reason.NO_PRIMARY)).toBe(true);
    expect(error.message).toMatch(/no primary for 0\.3 s: 127\.0\.0\.1:1: .*ECONNREFUSED/);
  });

  test("members that are all read only: the member is named, and writes go on once it is not", async () => {
    const readOnly = await open({ holdMs: 800 });
    await readOnly.write((tx) => tx.query("SELECT 1"));
    await asRoot("SET GLOBAL super_read_only = ON");
    const error = await failure(readOnly.write((tx) => tx.execute("INSERT INTO notes (id) VALUES (40)")));
    expect(hasReason(error, Reason.NO_PRIMARY)).toBe(true);
    expect(error.message).toMatch(/127\.0\.0\.1:\d+: primary, but still read only|--super-read-only/);
    const patient = await open();
    const waiting = patient.write((tx) => tx.execute("INSERT INTO notes (id) VALUES (41)"));
    await asRoot("SET GLOBAL read_only = OFF");
    expect(await waiting).toMatchObject({ affectedRows: 1 });
  });

  test("an account that is locked is named, and works again once it is not", async () => {
    await asRoot("ALTER USER 'kitchen'@'%' ACCOUNT LOCK");
    const password = await group.password("kitchen");
    const locked = await open({ database: "kitchen", user: "kitchen", password });
    const write = () => locked.write((tx) => tx.query("SELECT 1 AS one"));
    expect(hasReason(await failure(write()), Reason.DATABASE_REFUSED)).toBe(true);
    await asRoot("ALTER USER 'kitchen'@'%' ACCOUNT UNLOCK");
    await expect.poll(() => write().catch((error: Error) => error.message)).toEqual([{ one: 1 }]);
  });

  test("a table without a primary key is refused by name", async () => {
    await writeFile(join(folder, "900_keyless.sql"), "CREATE TABLE keyless (id INT);");
    const other = await open();
    await migrate(other, folder);
    const error = await failure(other.write((tx) => tx.execute("INSERT INTO keyless VALUES (1)")));
    expect(error.code).toBe("ER_BEFORE_DML_VALIDATION_ERROR");
    await other.write((tx) => tx.execute("INSERT INTO notes (id) VALUES (900)"));
    await rm(join(folder, "900_keyless.sql"));
  });

  test("nonsense in the options is a TypeError at once", () => {
    const options = { seeds: ["127.0.0.1:1"], database: "order", user: "order", password: "" };
    expect(() => createDatabase({ ...options, seeds: [] })).toThrow(TypeError);
    expect(() => createDatabase({ ...options, preferMember: 0 })).toThrow(TypeError);
    expect(() => createDatabase({ ...options, seeds: ["no port"] })).toThrow(/host:port/);
  });
});

describe("close", () => {
  test("lets what runs finish, and takes nothing more", async () => {
    const closing = await open();
    const running = closing.write((tx) => tx.query("SELECT SLEEP(0.1), 1 AS one"));
    await new Promise((resolve) => setImmediate(resolve));
    const closed = closing.close();
    expect((await failure(closing.read((q) => q.query("SELECT 1")))).message).toContain("closed");
    expect(await running).toMatchObject([{ one: 1 }]);
    await closed;
  });
});

test("metrics show the group, commits and reads", async () => {
  const registry = new Registry();
  const measured = await open({ metrics: { registry } });
  await measured.write((tx) => tx.query("SELECT 1"));
  await measured.read((q) => q.query("SELECT 1"));
  const text = await registry.metrics();
  const member = group.seeds[0]!;
  expect(text).toContain(`mesh_db_member{schema="order",member="${member}",role="primary",state="ONLINE"} 1`);
  expect(text).toContain(`mesh_db_commits_total{schema="order",member="${member}"} 1`);
  expect(text).toContain(`mesh_db_reads_total{schema="order",member="${member}"} 1`);
  expect(text).toContain('mesh_db_hold_length{schema="order"} 0');
});
