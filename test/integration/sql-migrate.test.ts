/** Migrations against a real member: once, by one instance, and nothing that was changed afterwards. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestGroup, type TestGroup } from "../../infra/mysql/testing.ts";
import { createDatabase, type Database } from "../../mesh/sql/database.ts";
import { migrate } from "../../mesh/sql/migrate.ts";

let group: TestGroup;
let db: Database;
let folder: string;

beforeAll(async () => {
  group = await startTestGroup();
  const password = await group.password("kitchen");
  db = createDatabase({ seeds: group.seeds, database: "kitchen", user: "kitchen", password });
});

afterAll(async () => {
  await db?.close(100);
  await group?.stop();
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "heddle-migrations-"));
  await db.write((tx) => tx.execute("DROP TABLE IF EXISTS heddle_migrations, one, two"));
  return () => rm(folder, { recursive: true });
});

const put = (name: string, sql: string) => writeFile(join(folder, name), sql);
const names = async (run: ReturnType<typeof migrate>) =>
  (await run).filter(({ source }) => source === "service").map(({ name }) => name);
const rows = (sql: string) => db.read((q) => q.query(sql));

describe("migrate", () => {
  test("runs each file once, in order, however many instances start at the same time", async () => {
    await put("001_one.sql", "CREATE TABLE one (id INT PRIMARY KEY);");
    await put("002_fill.sql", "INSERT INTO one VALUES (1); INSERT INTO one VALUES (2);");
    const runs = await Promise.all([1, 2, 3, 4].map(() => names(migrate(db, folder))));
    expect(runs.flat()).toEqual(["001_one.sql", "002_fill.sql"]);
    expect(await rows("SELECT id FROM one")).toHaveLength(2);
    expect(await names(migrate(db, folder))).toEqual([]);
  });

  test("makes the platform's tables too, each with a primary key", async () => {
    await migrate(db, folder);
    const keyless = await rows(
      `SELECT t.table_name FROM information_schema.tables t
        WHERE t.table_schema = 'kitchen' AND t.table_name IN ('barrier', 'idempotency', 'outbox', 'heddle_migrations')
          AND NOT EXISTS (SELECT 1 FROM information_schema.table_constraints c
            WHERE c.table_schema = 'kitchen' AND c.table_name = t.table_name AND c.constraint_type = 'PRIMARY KEY')`,
    );
    expect(keyless).toEqual([]);
    expect(await rows("SHOW TABLES LIKE 'barrier'")).toHaveLength(1);
  });

  test("tells what it would run, and runs nothing", async () => {
    await put("001_one.sql", "CREATE TABLE one (id INT PRIMARY KEY);");
    expect(await names(migrate(db, folder, { dryRun: true }))).toEqual(["001_one.sql"]);
    expect(await rows("SHOW TABLES LIKE 'one'")).toEqual([]);
    expect(await rows("SHOW TABLES LIKE 'heddle_migrations'")).toEqual([]);
  });

  test("refuses a file that was changed or removed after it ran, by name, and runs nothing", async () => {
    await put("001_one.sql", "CREATE TABLE one (id INT PRIMARY KEY);");
    await migrate(db, folder);
    await put("001_one.sql", "CREATE TABLE one (id BIGINT PRIMARY KEY);");
    await put("002_two.sql", "CREATE TABLE two (id INT PRIMARY KEY);");
    await expect(migrate(db, folder)).rejects.toThrow(/001_one\.sql was changed after it ran/);
    await rm(join(folder, "001_one.sql"));
    await expect(migrate(db, folder, { dryRun: true })).rejects.toThrow(
      /001_one\.sql has run but is missing/,
    );
    expect(await rows("SHOW TABLES LIKE 'two'")).toEqual([]);
  });

  test("names the statement that failed, and goes on from it once it is mended", async () => {
    await put("001_one.sql", "CREATE TABLE one (id INT PRIMARY KEY); INSERT INTO nowhere VALUES (1);");
    await expect(migrate(db, folder)).rejects.toThrow(/001_one\.sql, statement 2: .*nowhere/);
    await db.write((tx) => tx.execute("CREATE TABLE IF NOT EXISTS nowhere (id INT PRIMARY KEY)"));
    expect(await names(migrate(db, folder))).toEqual(["001_one.sql"]);
    expect(await rows("SELECT id FROM nowhere")).toEqual([{ id: 1 }]);
  });

  test("a command line does the same", async () => {
    const run = (...args: string[]) =>
      spawnSync(process.execPath, ["infra/migrate.ts", ...args], {
        encoding: "utf8",
        env: {
          ...process.env,
          HEDDLE__MYSQL__SEEDS: group.seeds.join(","),
          HEDDLE__MYSQL__PASSWORD_FILE: file,
        },
      });
    const file = join(group.folder, "passwords", "consumer");
    expect(run("--service", "consumer", "--dry-run").stdout).toContain("would run service 001_consumers.sql");
    expect(run("--service", "consumer").stdout).toContain("ran service 001_consumers.sql");
    expect(run("--service", "consumer").stdout).toContain("nothing to run");
    const wrong = run("--service", "nonsense");
    expect({ status: wrong.status, says: wrong.stderr }).toMatchObject({
      status: 64,
      says: expect.stringContaining("--service must be one of accounting"),
    });
  });
});
