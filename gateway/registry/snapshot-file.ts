/**
 * The registry's last known instances on disk, so that a gateway that starts while the store is away can serve. Written
 * at most once a second, and replaced in one step: a reader never sees half of it.
 */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { create, fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { SnapshotSchema, type Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import type { Clock } from "../../mesh/clock.ts";
import { messageOf } from "../../mesh/errors.ts";
import type { Logger } from "../../mesh/observe/log.ts";

/** The least time between two writes. */
export const WRITE_INTERVAL_MS = 1000;

/** A file of instances. It never throws: a file that cannot be used is logged and counts as empty. */
export interface SnapshotFile {
  /** What was saved last, by this process or one before; undefined if there is nothing of use. */
  load(): Promise<readonly Instance[] | undefined>;
  /** Saves soon. `instances` is asked when it is written. */
  save(instances: () => Iterable<Instance>): void;
  /** Writes what is still due. */
  close(): Promise<void>;
}

/** Where and how. */
export interface SnapshotFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Opens the file; the folder is made when it is written first. */
export function createSnapshotFile({ path, clock, log }: SnapshotFileOptions): SnapshotFile {
  let due: (() => Iterable<Instance>) | undefined;
  let cancelTimer: (() => void) | undefined;
  let writing = Promise.resolve();

  const write = async (instances: Iterable<Instance>): Promise<void> => {
    const text = toJsonString(SnapshotSchema, create(SnapshotSchema, { instances: [...instances] }));
    try {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
    } catch (error) {
      log.warn({ path, err: error }, "the registry's snapshot cannot be written");
    }
  };

  const flush = (): Promise<void> => {
    cancelTimer?.();
    cancelTimer = undefined;
    const instances = due;
    due = undefined;
    if (instances !== undefined) writing = writing.then(() => write(instances()));
    return writing;
  };

  return {
    async load() {
      let text: string;
      try {
        text = await readFile(path, "utf8");
      } catch {
        return undefined;
      }
      try {
        return fromJsonString(SnapshotSchema, text, { ignoreUnknownFields: true }).instances;
      } catch (error) {
        log.warn(
          { path, problem: messageOf(error) },
          "the registry's snapshot cannot be read and is ignored",
        );
        return undefined;
      }
    },
    save(instances) {
      due = instances;
      cancelTimer ??= clock.after(WRITE_INTERVAL_MS, () => void flush());
    },
    close: flush,
  };
}
