import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MissingToolsError } from "./missing.ts";
import { searchTool, type InstallContext, type Recipe } from "./search.ts";
import { isAtLeast } from "./version.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "heddle-search-"));
  await mkdir(join(folder, "bin"));
});
afterEach(() => rm(folder, { recursive: true }));

async function program(path: string, version: string): Promise<string> {
  await writeFile(path, `#!/bin/sh\necho "widget v${version}"\n`);
  await chmod(path, 0o755);
  return path;
}

function recipe(ways: Recipe["ways"]): Recipe {
  return {
    name: "redis",
    needed: "Widget 7",
    pin: "7",
    programs: ["heddle-widget"],
    isFit: (version) => isAtLeast(version, [7, 0, 0]),
    keys: ["local.tools.widget"],
    ways,
  };
}

const options = () => ({
  cacheFolder: join(folder, "cache"),
  env: { PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}` },
});

function installing(version: string, log: string[] = []): Recipe["ways"][number] {
  return {
    name: `way ${version}`,
    async install({ folder }: InstallContext) {
      log.push(version);
      await mkdir(folder, { recursive: true });
      return program(join(folder, "heddle-widget"), version);
    },
  };
}

describe("searchTool", () => {
  test("uses the configured program", async () => {
    const configured = await program(join(folder, "mine"), "7.1.0");
    const tool = await searchTool(recipe([]), { ...options(), configured });
    expect(tool).toEqual({ name: "redis", executable: configured, version: "7.1.0", source: "configured" });
  });

  test("refuses a configured program that is unfit, although another way would work", async () => {
    const configured = await program(join(folder, "mine"), "6.0.0");
    const search = searchTool(recipe([installing("7.0.0")]), { ...options(), configured });
    await expect(search).rejects.toThrow(/tried local.tools.widget: .*mine is version 6.0.0/);
  });

  test("takes a fit program from PATH and installs nothing", async () => {
    const executable = await program(join(folder, "bin/heddle-widget"), "7.4.2");
    const tool = await searchTool(recipe([installing("7.0.0")]), options());
    expect(tool).toMatchObject({ executable, source: "on PATH" });
  });

  test("goes through the ways in turn, installs once, and finds it again without a process", async () => {
    await program(join(folder, "bin/heddle-widget"), "6.2.0");
    const log: string[] = [];
    const failing = { name: "way 0", install: () => Promise.reject(new Error("offline")) };
    const tools = [failing, installing("6.9.0", log), installing("8.0.0", log), installing("9.0.0", log)];
    expect(await searchTool(recipe(tools), options())).toMatchObject({
      version: "8.0.0",
      source: "way 8.0.0",
    });
    expect(await searchTool(recipe(tools), { ...options(), env: {} })).toMatchObject({ version: "8.0.0" });
    expect(log).toEqual(["6.9.0", "8.0.0"]);
  });

  test("installs once although many ask at the same moment", async () => {
    const log: string[] = [];
    const searches = Array.from({ length: 5 }, () =>
      searchTool(recipe([installing("8.0.0", log)]), options()),
    );
    await Promise.all(searches);
    expect(log).toEqual(["8.0.0"]);
    expect(await readdir(join(folder, "cache/locks"))).toEqual([]);
  });

  test("starts again after an installation that did not finish", async () => {
    const log: string[] = [];
    const killed = { name: "killed", install: () => Promise.reject(new Error("killed")) };
    await expect(searchTool(recipe([killed]), options())).rejects.toThrow(MissingToolsError);
    expect(await searchTool(recipe([installing("8.0.0", log)]), options())).toMatchObject({
      version: "8.0.0",
    });
  });

  test("tells every way that was tried, with its reason", async () => {
    await program(join(folder, "bin/heddle-widget"), "6.2.0");
    const failing = { name: "way 0", install: () => Promise.reject(new Error("offline")) };
    const error = await searchTool(recipe([failing, installing("6.9.0")]), options()).catch(
      (error: unknown) => error,
    );
    expect((error as MissingToolsError).missing[0]?.attempts).toEqual([
      { way: "PATH", reason: `${join(folder, "bin/heddle-widget")} is version 6.2.0` },
      { way: "way 0", reason: "offline" },
      { way: "way 6.9.0", reason: "it installs version 6.9.0" },
    ]);
  });
});
