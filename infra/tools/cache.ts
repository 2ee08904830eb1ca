/**
 * The per-user cache of installed tools. A tool is there when its marker is: the marker is written last, in one step, so
 * an installation that was killed half way is seen as missing and starts again.
 */
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { isExecutable } from "./path.ts";
import type { Environment, Tool } from "./tool.ts";

/** What an installation leaves in its folder. */
export interface Marker extends Tool {
  /** What was asked for; another pin means that it must be installed anew. */
  readonly pin: string;
}

const MARKER = "installed.json";

/** `$XDG_CACHE_HOME/heddle`, else `~/.cache/heddle`; a relative `XDG_CACHE_HOME` is ignored, as its specification asks. */
export function cacheFolder(env: Environment): string {
  const base = env["XDG_CACHE_HOME"];
  if (base !== undefined && isAbsolute(base)) return join(base, "heddle");
  return join(env["HOME"] ?? homedir(), ".cache", "heddle");
}

/** The finished installation in a folder, if it is of this pin and its program is still there. */
export async function readMarker(folder: string, pin: string): Promise<Marker | undefined> {
  try {
    const marker = JSON.parse(await readFile(join(folder, MARKER), "utf8")) as Marker;
    return marker.pin === pin && (await isExecutable(marker.executable)) ? marker : undefined;
  } catch {
    return undefined;
  }
}

/** Declares the installation in a folder finished. */
export async function writeMarker(folder: string, marker: Marker): Promise<void> {
  const draft = join(folder, `${MARKER}.${process.pid}`);
  await writeFile(draft, `${JSON.stringify(marker, null, 2)}\n`);
  await rename(draft, join(folder, MARKER));
}

/** An empty folder to install into, whatever was there before. */
export async function emptyFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
}
