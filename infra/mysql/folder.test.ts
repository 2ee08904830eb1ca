import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { membersOf, prepareGroupFolder, readGroupFile } from "./folder.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "heddle-folder-"));
});
afterEach(() => rm(root, { recursive: true }));

describe("prepareGroupFolder", () => {
  test("names a group once and for all, and follows its ports", async () => {
    const folder = join(root, "mysql");
    const { name } = await prepareGroupFolder(folder, [3311]);
    await prepareGroupFolder(folder, [3311, 3312, 3313]);
    expect(await readGroupFile(folder)).toEqual({ name, ports: [3311, 3312, 3313] });
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });
});

describe("membersOf", () => {
  test("keeps sockets beside the data while their paths are short enough for the kernel", () => {
    expect(membersOf("/data", [3311])[0]?.socket).toBe("/data/n1.sock");
    const deep = membersOf(`/${"x".repeat(100)}`, [3311])[0]?.socket ?? "";
    expect(deep.length).toBeLessThan(100);
    expect(membersOf(`/${"x".repeat(100)}`, [3311])[0]?.socket).toBe(deep);
  });
});
