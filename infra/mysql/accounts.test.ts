import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  ACCOUNTS,
  ensurePasswords,
  passwordFile,
  passwordSql,
  readPassword,
  templateSql,
} from "./accounts.ts";

describe("passwords", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "heddle-accounts-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("are made once, differ, and are readable by their owner only", async () => {
    const first = await ensurePasswords(folder);
    expect(await ensurePasswords(folder)).toEqual(first);
    expect(Object.keys(first)).toEqual(ACCOUNTS);
    expect(new Set(Object.values(first)).size).toBe(ACCOUNTS.length);
    expect(await readPassword(folder, "order")).toBe(first["order"]);
    expect((await stat(passwordFile(folder, "order"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, "passwords"))).mode & 0o777).toBe(0o700);
  });
});

describe("templateSql", () => {
  test("locks every account and holds no password", () => {
    const created = templateSql().filter((statement) => statement.startsWith("CREATE USER"));
    expect(created).toHaveLength(ACCOUNTS.length);
    for (const statement of created) expect(statement).toMatch(/ACCOUNT LOCK$/);
    expect(templateSql().join()).not.toContain("IDENTIFIED");
  });

  test("gives a service rights on its own schema, and no other", () => {
    const grants = templateSql(["order"]).filter((statement) => statement.endsWith("TO 'order'@'%'"));
    expect(grants.map((statement) => / ON (\S+)/.exec(statement)?.[1])).toEqual([
      "`order`.*",
      "performance_schema.replication_group_members",
      "performance_schema.replication_group_member_stats",
    ]);
  });
});

test("passwordSql refuses a password that would need quoting", () => {
  expect(() => passwordSql({ order: "a'b" })).toThrow(TypeError);
});
