/**
 * A pip for machines whose Python has none: Debian's packaged wheel of pip, which runs without being installed.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { downloadDebian } from "./apt.ts";
import { unpack } from "./debian.ts";
import { run } from "./run.ts";
import type { InstallContext } from "./search.ts";

/** Fetches pip and returns the path of its wheel; `python3 WHEEL/pip install …` runs it. */
export async function downloadPip(context: InstallContext): Promise<string> {
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
