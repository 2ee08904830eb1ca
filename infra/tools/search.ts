/**
 * The order in which a tool is looked for: the configured path, a fit program on PATH, the per-user cache, then the
 * ways to install it, one after the other. Only the last step takes time, and only once.
 */
import { join } from "node:path";
import { cacheFolder, readMarker, writeMarker } from "./cache.ts";
import { withLock } from "./lock.ts";
import { messageOf } from "../../mesh/errors.ts";
import { MissingToolsError, type Attempt } from "./missing.ts";
import { findOnPath, isExecutable } from "./path.ts";
import { run } from "./run.ts";
import type { Environment, Tool, ToolName, ToolOptions } from "./tool.ts";
import { formatVersion, parseVersion, type Version } from "./version.ts";

/** All that is special about one tool. */
export interface Recipe {
  readonly name: ToolName;
  /** For errors, such as `MySQL 9.7 (mysqld)`. */
  readonly needed: string;
  /** Changes when something else is to be installed. Part of the folder's name. */
  readonly pin: string;
  /** Names of the program on PATH. */
  readonly programs: readonly string[];
  readonly isFit: (version: Version) => boolean;
  /** The configuration keys for the error message; the first is the path of the program. */
  readonly keys: readonly [string, ...string[]];
  readonly ways: readonly Way[];
}

/** A way to install a tool. */
export interface Way {
  readonly name: string;
  /** Installs into `folder`, an existing folder of this tool, and returns the path of the program. */
  readonly install: (context: InstallContext) => Promise<string>;
}

/** What an installation gets. */
export interface InstallContext {
  readonly folder: string;
  readonly cacheFolder: string;
  readonly env: Environment;
  readonly report: (text: string) => void;
  readonly signal: AbortSignal | undefined;
}

/** Finds or installs a tool. Rejects with `MissingToolsError` if no way works. */
export async function searchTool(recipe: Recipe, options: ToolOptions): Promise<Tool> {
  const env = options.env ?? process.env;
  if (options.configured) return configuredTool(recipe, options.configured, env);
  const cache = options.cacheFolder ?? cacheFolder(env);
  const folder = join(cache, `${recipe.name}-${recipe.pin}`);
  const attempts: Attempt[] = [];
  const onPath = await toolOnPath(recipe, env, attempts);
  if (onPath !== undefined) return onPath;
  const cached = await readMarker(folder, recipe.pin);
  if (cached !== undefined) return cached;
  const report = (text: string) => options.report?.(recipe.name, text);
  return withLock(
    join(cache, "locks", `${recipe.name}.lock`),
    async () => {
      const finished = await readMarker(folder, recipe.pin);
      if (finished !== undefined) return finished;
      return install(recipe, { folder, cacheFolder: cache, env, report, signal: options.signal }, attempts);
    },
    { signal: options.signal, waiting: ({ pid }) => report(`waiting for process ${pid}, which installs it`) },
  );
}

async function configuredTool(recipe: Recipe, path: string, env: Environment): Promise<Tool> {
  const fail = (reason: string) => {
    return new MissingToolsError([
      {
        tool: recipe.name,
        needed: recipe.needed,
        attempts: [{ way: recipe.keys[0], reason }],
        keys: recipe.keys,
      },
    ]);
  };
  if (!(await isExecutable(path))) throw fail(`${path} is not a program`);
  const version = await versionOf(path, env).catch(messageOf);
  if (typeof version === "string") throw fail(version);
  if (!recipe.isFit(version)) throw fail(`${path} is version ${formatVersion(version)}`);
  return { name: recipe.name, executable: path, version: formatVersion(version), source: "configured" };
}

async function toolOnPath(recipe: Recipe, env: Environment, attempts: Attempt[]): Promise<Tool | undefined> {
  const unfit: string[] = [];
  for (const executable of await findOnPath(recipe.programs, env)) {
    const version = await versionOf(executable, env).catch(messageOf);
    if (typeof version === "string") {
      unfit.push(version);
    } else if (recipe.isFit(version)) {
      return { name: recipe.name, executable, version: formatVersion(version), source: "on PATH" };
    } else {
      unfit.push(`${executable} is version ${formatVersion(version)}`);
    }
  }
  attempts.push({ way: "PATH", reason: unfit.join("; ") || `no ${recipe.programs.join(" or ")} there` });
  return undefined;
}

async function install(recipe: Recipe, context: InstallContext, attempts: Attempt[]): Promise<Tool> {
  for (const way of recipe.ways) {
    try {
      const executable = await way.install(context);
      const version = await versionOf(executable, context.env);
      if (!recipe.isFit(version)) throw new Error(`it installs version ${formatVersion(version)}`);
      const marker = { name: recipe.name, executable, version: formatVersion(version), source: way.name };
      await writeMarker(context.folder, { ...marker, pin: recipe.pin });
      context.report(`${marker.version} installed (${way.name})`);
      return marker;
    } catch (error) {
      context.signal?.throwIfAborted();
      attempts.push({ way: way.name, reason: messageOf(error) });
    }
  }
  throw new MissingToolsError([{ tool: recipe.name, needed: recipe.needed, attempts, keys: recipe.keys }]);
}

async function versionOf(executable: string, env: Environment): Promise<Version> {
  const text = await run(executable, ["--version"], { env, timeoutMs: 20_000 });
  const version = parseVersion(text);
  if (version === undefined) throw new Error(`${executable} --version prints no version`);
  return version;
}
