/** The stack's folder: `data` survives everything but `reset`, `log` and `run` are made anew. */
import { accessSync, constants, mkdirSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { messageOf } from "../../mesh/errors.ts";

/** The parts of the folder, as absolute paths. */
export interface Folders {
  readonly root: string;
  readonly data: string;
  readonly log: string;
  readonly run: string;
}

/** Where the parts are. Nothing is created. */
export function foldersOf(root: string): Folders {
  const absolute = resolve(root);
  return {
    root: absolute,
    data: join(absolute, "data"),
    log: join(absolute, "log"),
    run: join(absolute, "run"),
  };
}

/** Creates the folders. Returns what is wrong, with the key that names another place. */
export function prepareFolders(folders: Folders): string[] {
  const problems: string[] = [];
  for (const path of [folders.data, folders.log, folders.run]) {
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (error) {
      problems.push(`folder ${path} cannot be used: ${messageOf(error)}; mend it, or set local.folder`);
    }
  }
  return problems;
}

/** Path of a new log file. The one of the run before stays as `NAME.log.1`. */
export function freshLog(folders: Folders, name: string): string {
  const path = join(folders.log, `${name}.log`);
  try {
    renameSync(path, `${path}.1`);
  } catch {
    // The first run.
  }
  return path;
}

/** Removes data, logs and state. */
export function wipe(folders: Folders): void {
  for (const path of [folders.data, folders.log, folders.run]) rmSync(path, { recursive: true, force: true });
}
