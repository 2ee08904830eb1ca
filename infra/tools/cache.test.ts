import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cacheFolder, readMarker, writeMarker, type Marker } from "./cache.ts";

describe("cacheFolder", () => {
  test.each([
    [{ XDG_CACHE_HOME: "/x", HOME: "/home/me" }, "/x/heddle"],
    [{ HOME: "/home/me" }, "/home/me/.cache/heddle"],
    [{ XDG_CACHE_HOME: "relative", HOME: "/home/me" }, "/home/me/.cache/heddle"],
  ])("of %j is %s", (env, folder) => {
    expect(cacheFolder(env)).toBe(folder);
  });
});

describe("readMarker", () => {
  let folder: string;
  let marker: Marker;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "heddle-cache-"));
    const executable = join(folder, "mysqld");
    marker = { name: "mysql", executable, version: "9.7.4", source: "Debian packages", pin: "9.7" };
    await writeFile(executable, "#!/bin/sh\n");
    await chmod(executable, 0o755);
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("finds what was finished", async () => {
    await writeMarker(folder, marker);
    expect(await readMarker(folder, "9.7")).toEqual(marker);
  });

  test("does not find what was not finished", async () => {
    expect(await readMarker(folder, "9.7")).toBeUndefined();
  });

  test("does not find what was half written", async () => {
    await writeFile(join(folder, "installed.json"), '{"pin": "9.');
    expect(await readMarker(folder, "9.7")).toBeUndefined();
  });

  test("does not find another pin", async () => {
    await writeMarker(folder, marker);
    expect(await readMarker(folder, "9.8")).toBeUndefined();
  });

  test("does not find a program that was removed", async () => {
    await writeMarker(folder, marker);
    await rm(marker.executable);
    expect(await readMarker(folder, "9.7")).toBeUndefined();
  });
});
