import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pending, readMigrations, type DoneRow, type Migration } from "./migrate.ts";

const file = (name: string, checksum = "x"): Migration => ({
  source: "service",
  name,
  checksum,
  statements: ["one", "two"],
});
const done = (name: string, checksum = "x", statements_done = 2): DoneRow => ({
  source: "service",
  name,
  checksum,
  statements: 2,
  statements_done,
});

describe("pending", () => {
  test("is what has not run", () => {
    const files = [file("001_a.sql"), file("002_b.sql")];
    expect(pending(files, [])).toEqual(files);
    expect(pending(files, [done("001_a.sql")])).toEqual([files[1]]);
    expect(pending(files, [done("001_a.sql"), done("002_b.sql")])).toEqual([]);
  });

  test("includes what was interrupted", () => {
    const files = [file("001_a.sql")];
    expect(pending(files, [done("001_a.sql", "x", 1)])).toEqual(files);
  });

  test("keeps the platform's files apart from the service's", () => {
    const platform: Migration = { ...file("001_a.sql", "p"), source: "platform" };
    expect(
      pending([platform, file("001_a.sql")], [{ ...done("001_a.sql", "p"), source: "platform" }]),
    ).toEqual([file("001_a.sql")]);
  });

  test("names every file that was changed, is missing or comes too late", () => {
    const files = [file("001_a.sql", "changed"), file("002_late.sql")];
    const rows = [done("001_a.sql"), done("003_gone.sql")];
    expect(() => pending(files, rows)).toThrow(
      /001_a\.sql was changed.*003_gone\.sql has run but is missing.*002_late\.sql is new but comes before 003_gone\.sql/,
    );
  });
});

describe("readMigrations", () => {
  const inFolder = async (names: readonly string[], look: (folder: string) => Promise<unknown>) => {
    const folder = await mkdtemp(join(tmpdir(), "heddle-migrations-"));
    try {
      for (const name of names) await writeFile(join(folder, name), "SELECT 1;");
      await look(folder);
    } finally {
      await rm(folder, { recursive: true });
    }
  };

  test("reads the files in order, and no others", () =>
    inFolder(["010_c.sql", "001_a.sql", "002_b.sql", "notes.md"], async (folder) => {
      const names = (await readMigrations("service", folder)).map(({ name }) => name);
      expect(names).toEqual(["001_a.sql", "002_b.sql", "010_c.sql"]);
    }));

  test.each([
    [["1_a.sql"], /1_a\.sql: migrations are named NNN_name\.sql/],
    [["001_a.sql", "001_b.sql"], /001_a\.sql and 001_b\.sql have the same number/],
  ])("refuses %j", (names, expected) =>
    inFolder(names, (folder) => expect(readMigrations("service", folder)).rejects.toThrow(expected)),
  );
});
