/**
 * The folder of a group on this machine: data, configuration and socket of each member, passwords, and `group.json`,
 * which the command line reads to find the members of a running group.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import type { MemberAddress } from "./member.ts";

/** What `group.json` holds. */
export interface GroupFile {
  /** `group_replication_group_name`, the UUID of all GTIDs of the group. */
  readonly name: string;
  /** Ports of the members, in the order of their numbers. */
  readonly ports: readonly number[];
}

/** A member's own files. */
export interface MemberFiles extends MemberAddress {
  readonly number: number;
  readonly port: number;
  readonly dataFolder: string;
  readonly cnf: string;
  readonly socket: string;
}

// Paths of Unix sockets are cut off by the kernel at 108 bytes, and mysqld also makes SOCKET.lock.
const MAX_SOCKET_PATH = 95;

/** Creates the folder and `group.json`, or changes the ports in it; the name stays for ever. */
export async function prepareGroupFolder(folder: string, ports: readonly number[]): Promise<GroupFile> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await mkdir(socketFolder(folder), { recursive: true, mode: 0o700 });
  const name = await readGroupFile(folder).then(
    (file) => file.name,
    () => randomUUID(),
  );
  const file: GroupFile = { name, ports };
  const path = join(folder, "group.json");
  await writeFile(`${path}.draft`, `${JSON.stringify(file)}\n`);
  await rename(`${path}.draft`, path);
  return file;
}

/** `group.json`; rejects where there is none. */
export async function readGroupFile(folder: string): Promise<GroupFile> {
  return JSON.parse(await readFile(join(folder, "group.json"), "utf8")) as GroupFile;
}

/** The files of every member. */
export function membersOf(folder: string, ports: readonly number[]): readonly MemberFiles[] {
  return ports.map((port, i) => ({
    number: i + 1,
    name: `127.0.0.1:${port}`,
    port,
    dataFolder: join(resolve(folder), `n${i + 1}`),
    cnf: join(resolve(folder), `n${i + 1}.cnf`),
    socket: join(socketFolder(folder), `n${i + 1}.sock`),
  }));
}

function socketFolder(folder: string): string {
  const path = resolve(folder);
  if (Buffer.byteLength(path) + "/n1.sock".length <= MAX_SOCKET_PATH) return path;
  const hash = createHash("sha256").update(path).digest("hex").slice(0, 12);
  return join(tmpdir(), `heddle-${userInfo().uid}-${hash}`);
}
