import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findOnPath } from "./path.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "heddle-path-"));
  for (const name of ["a", "b", "c"]) await mkdir(join(folder, name));
});
afterEach(() => rm(folder, { recursive: true }));

async function program(path: string, mode = 0o755): Promise<void> {
  await writeFile(join(folder, path), "#!/bin/sh\n");
  await chmod(join(folder, path), mode);
}

describe("findOnPath", () => {
  test("orders by name, then by PATH", async () => {
    await Promise.all([program("a/valkey"), program("b/redis"), program("c/redis")]);
    const env = { PATH: ["a", "b", "c"].map((name) => join(folder, name)).join(":") };
    expect(await findOnPath(["redis", "valkey"], env, [])).toEqual(
      ["b/redis", "c/redis", "a/valkey"].map((path) => join(folder, path)),
    );
  });

  test("passes over what cannot be run: plain files, folders, missing folders", async () => {
    await program("a/redis", 0o644);
    await mkdir(join(folder, "b/redis"));
    const env = { PATH: `${folder}/a::${folder}/b:${folder}/missing` };
    expect(await findOnPath(["redis"], env, [])).toEqual([]);
  });

  test("names a program once although its folder is listed twice", async () => {
    await program("a/redis");
    expect(await findOnPath(["redis"], { PATH: `${folder}/a` }, [`${folder}/a/`])).toEqual([
      join(folder, "a/redis"),
    ]);
  });
});
