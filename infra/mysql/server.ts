/**
 * One member's process on this machine: its files, its start, and its first minute, in which the accounts of the template
 * get their passwords.
 */
import { access, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { createConnection } from "mysql2/promise";
import { createChild, type ChildEvents } from "../local/child.ts";
import type { Unit } from "../local/unit.ts";
import type { MysqlTool } from "../tools/mysql.ts";
import { run } from "../tools/run.ts";
import { passwordSql, type Passwords } from "./accounts.ts";
import { memberCnf } from "./cnf.ts";
import type { MemberFiles } from "./folder.ts";
import { copyTemplate, FRESH_MARKER } from "./template.ts";

/** What the processes of all members have in common. */
export interface ServerOptions {
  readonly tool: MysqlTool;
  /** One member for each port; the first one is number 1. */
  readonly ports: readonly number[];
  /** Path of the log of a member, such as `mysql-1`. */
  readonly logFile: (name: string) => string;
  readonly events: ChildEvents;
  /** Gives up durability for speed. For tests only. Default false. */
  readonly volatile?: boolean | undefined;
}

/** A member that is shut down and does not end within this time is killed; it loses nothing. */
const SHUTDOWN_LIMIT_MS = 5000;
const LEFTOVER_LIMIT_MS = 8000;

/** A member as a child process, ready when it answers on its socket; it is not yet in a group then. */
export function createServer(file: MemberFiles, options: ServerOptions): Unit {
  const name = `mysql-${file.number}`;
  return createChild(
    {
      name,
      after: [],
      command: options.tool.executable,
      args: [`--defaults-file=${file.cnf}`],
      env: process.env,
      logFile: options.logFile(name),
      addresses: { mysql: file.name },
      stopTimeoutMs: options.volatile === true ? 0 : SHUTDOWN_LIMIT_MS,
      probe: () =>
        asRoot(file, ["DO 1"]).then(
          () => true,
          () => false,
        ),
    },
    options.events,
  );
}

// A launcher that was killed may leave its members running, and a second server on the same data waits in vain for it.
async function endLeftover(file: MemberFiles): Promise<void> {
  const pid = Number(await readFile(`${file.dataFolder}.pid`, "utf8").catch(() => ""));
  const until = performance.now() + LEFTOVER_LIMIT_MS;
  if (!(pid > 0)) return;
  while (await isMember(pid, file)) {
    process.kill(pid, performance.now() < until ? "SIGTERM" : "SIGKILL");
    await wait(100);
  }
}

async function isMember(pid: number, file: MemberFiles): Promise<boolean> {
  const commandLine = await run("ps", ["-o", "args=", "-p", `${pid}`]).catch(() => "");
  return commandLine.includes(file.cnf);
}

/** Makes data folder and configuration of a member that does not run. */
export async function prepareMember(
  file: MemberFiles,
  groupName: string,
  template: string,
  options: ServerOptions,
): Promise<void> {
  await endLeftover(file);
  await copyTemplate(template, file.dataFolder);
  const { ports: groupPorts, volatile, tool } = options;
  await writeFile(file.cnf, memberCnf({ ...file, groupName, groupPorts, volatile, root: tool.root }));
}

/**
 * Sets the passwords on a new member, before it has ever been in a group; so it must not leave a trace in the binary log.
 * Does nothing on any other member.
 */
export async function giveAccountsTheirPasswords(file: MemberFiles, passwords: Passwords): Promise<void> {
  const marker = join(file.dataFolder, FRESH_MARKER);
  const isFresh = await access(marker).then(
    () => true,
    () => false,
  );
  if (!isFresh) return;
  await asRoot(file, [
    "SET SESSION sql_log_bin = 0",
    "SET GLOBAL super_read_only = OFF",
    ...passwordSql(passwords),
    // When a primary must be replaced, the member that lags least is chosen.
    "INSTALL COMPONENT 'file://component_group_replication_elect_prefers_most_updated'",
    "SET GLOBAL super_read_only = ON",
  ]);
  await rm(marker);
}

// The root account has no password and works over the socket only, whose folder is the owner's.
async function asRoot(file: MemberFiles, statements: readonly string[]): Promise<void> {
  const connection = await createConnection({ socketPath: file.socket, user: "root", connectTimeout: 1000 });
  try {
    for (const statement of statements) await connection.query(statement);
  } finally {
    connection.destroy();
  }
}
