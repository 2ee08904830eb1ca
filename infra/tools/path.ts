/**
 * Finds programs as a shell would: the first executable file of one of the names in the folders of PATH.
 */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import type { Environment } from "./tool.ts";

// Servers are often installed where a user's PATH does not look.
const SERVER_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/opt/homebrew/bin", "/usr/local/bin"];

/** Every program of one of these names, best first: by name, then by the order of PATH, then common server folders. */
export async function findOnPath(
  names: readonly string[],
  env: Environment,
  extraFolders: readonly string[] = SERVER_FOLDERS,
): Promise<string[]> {
  const folders = [...(env["PATH"] ?? "").split(delimiter).filter(Boolean), ...extraFolders];
  const found: string[] = [];
  for (const name of names) {
    for (const folder of new Set(folders.map((folder) => resolve(folder)))) {
      const path = join(folder, name);
      if (await isExecutable(path)) found.push(path);
    }
  }
  return found;
}

/** Whether there is a regular file at this path that may be run. */
export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
