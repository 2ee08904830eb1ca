/**
 * A pip, also for machines whose Python has none: Debian's packaged wheel of pip runs without being installed.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { downloadDebian } from "./apt.ts";
import { unpack } from "./debian.ts";
import { run } from "./run.ts";
import type { InstallContext } from "./search.ts";
import type { Environment } from "./tool.ts";

/** A command that takes the arguments of pip after its own. */
export interface Pip {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Environment;
}

/** How to run pip: that of `python3`, else uv's, else one that is fetched. */
export async function findPip(context: InstallContext): Promise<Pip> {
  const env = { ...context.env, PIP_DISABLE_PIP_VERSION_CHECK: "1", PIP_NO_INPUT: "1" };
  const check = { env, timeoutMs: 20_000 };
  const hasPip = await run("python3", ["-m", "pip", "--version"], check).then(
    () => true,
    () => false,
  );
  if (hasPip) return { command: "python3", args: ["-m", "pip"], env };
  const hasUv = await run("uv", ["--version"], check).then(
    () => true,
    () => false,
  );
  if (hasUv) return { command: "uv", args: ["pip"], env };
  // Debian's python3 has no pip of its own, but a pip runs right out of its wheel.
  return { command: "python3", args: [join(await downloadPip(context), "pip")], env };
}

/** Fetches pip and returns the path of its wheel; `python3 WHEEL/pip install …` runs it. */
async function downloadPip(context: InstallContext): Promise<string> {
  await run("python3", ["--version"], { env: context.env });
  // The suite is the one that the servers come from, so that apt reads one set of lists.
  const seed = "python3-pip-whl";
  const { folder, packages } = await downloadDebian("sid", seed, /^(?!python3-pip-whl$)/, context);
  const root = join(context.folder, "pip");
  await unpack({ folder, packages }, root, context);
  const wheels = join(root, "usr/share/python-wheels");
  const wheel = (await readdir(wheels)).find((name) => /^pip-.*\.whl$/.test(name));
  if (wheel === undefined) throw new Error(`${seed} holds no pip`);
  return join(wheels, wheel);
}
