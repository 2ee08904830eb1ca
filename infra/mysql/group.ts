/**
 * A MySQL group on this machine: members as child processes, started again when they die, and a leader that brings them
 * into one group and keeps them there. Stopping loses nothing and takes seconds.
 */
import { access, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createConnection } from "mysql2/promise";
import { createChild, type ChildEvents } from "../local/child.ts";
import type { ProcessState } from "../local/state.ts";
import type { Unit } from "../local/unit.ts";
import { tryLock, unlock } from "../tools/lock.ts";
import type { MysqlTool } from "../tools/mysql.ts";
import {
  AGENT_ACCOUNT,
  ensurePasswords,
  passwordSql,
  REPLICATION_ACCOUNT,
  type Passwords,
} from "./accounts.ts";
import { memberCnf } from "./cnf.ts";
import { membersOf, prepareGroupFolder, type MemberFiles } from "./folder.ts";
import { leadGroup, primaryOf, type Lead } from "./lead.ts";
import { createMember, type Member } from "./member.ts";
import { statusOf, type GroupStatus } from "./status.ts";
import { copyTemplate, ensureTemplate, FRESH_MARKER } from "./template.ts";

/** A group to run. */
export interface GroupOptions {
  readonly tool: MysqlTool;
  /** Data, passwords and sockets. Only its owner can look into it. */
  readonly folder: string;
  /** One member for each port; the first one is number 1. */
  readonly ports: readonly number[];
  /** Path of the log of a member, such as `mysql-1`. */
  readonly logFile: (name: string) => string;
  readonly events: ChildEvents;
  /** What happens to the group as a whole, one sentence each. */
  readonly report?: ((line: string) => void) | undefined;
  /** Where the template is kept. Default: the per-user cache. */
  readonly cacheFolder?: string | undefined;
  /** Gives up durability for speed. For tests only. Default false. */
  readonly volatile?: boolean | undefined;
}

/** A running group. As a unit of the launcher it is ready when all members are ONLINE. */
export interface Group extends Unit {
  /** The state of every member. */
  status(): GroupStatus;
  /** Makes another member the primary, by its port; open transactions are ended after 5 s. */
  switchover(port: number): Promise<void>;
}

const STOP_LIMIT_MS = 8000;

/** A group that is not yet started. */
export function createGroup(options: GroupOptions): Group {
  const { folder } = options;
  const files = membersOf(folder, options.ports);
  const servers = files.map((file) => createServer(file, options));
  const lockFile = join(folder, "lock");
  let members: readonly Member[] = [];
  let lead: Lead | undefined;
  let isLocked = false;

  async function prepare(): Promise<Passwords> {
    const { name } = await prepareGroupFolder(folder, options.ports);
    const holder = await tryLock(lockFile);
    if (holder !== undefined)
      throw new Error(`process ${holder.pid} already runs the MySQL group in ${folder}`);
    isLocked = true;
    const [passwords, template] = await Promise.all([
      ensurePasswords(folder),
      ensureTemplate(options.tool, options.cacheFolder),
    ]);
    await Promise.all(files.map((file) => prepareMember(file, name, template, options)));
    return passwords;
  }

  return {
    name: "mysql",
    after: [],
    async start(signal) {
      const passwords = await prepare();
      signal.throwIfAborted();
      await Promise.all(servers.map((server) => server.start(signal)));
      await Promise.all(files.map((file) => giveAccountsTheirPasswords(file, passwords)));
      const secrets = {
        agent: passwords[AGENT_ACCOUNT] ?? "",
        replication: passwords[REPLICATION_ACCOUNT] ?? "",
      };
      members = files.map((file) => createMember(file, secrets));
      lead = leadGroup(members, leadEvents(options));
      await lead.whole(signal);
    },
    async stop() {
      await lead?.stop();
      const situations = lead?.situations() ?? [];
      const primary = primaryOf(situations);
      const stopOne = async (i: number) => {
        // A member that leaves first goes down at once; one that is shut down inside the group may take a minute.
        const leaving = members[i]?.leave().catch(() => undefined);
        await Promise.race([leaving, new Promise((resolve) => setTimeout(resolve, STOP_LIMIT_MS).unref())]);
        await servers[i]?.stop();
      };
      const all = files.map((_, i) => i);
      await Promise.all(all.filter((i) => files[i]?.name !== primary).map(stopOne));
      await Promise.all(all.filter((i) => files[i]?.name === primary).map(stopOne));
      if (isLocked) await unlock(lockFile);
      isLocked = false;
    },
    processes: (): readonly ProcessState[] => servers.flatMap((server) => server.processes()),
    status: () => statusOf(lead?.situations() ?? [], lead?.decision()),
    async switchover(port) {
      const target = lead?.situations().find(({ name }) => name.endsWith(`:${port}`));
      const member = members.find(({ name }) => name === primaryOf(lead?.situations() ?? []));
      if (target?.report === undefined || member === undefined) {
        throw new Error(`port ${port} is no member that answers, or the group has no primary`);
      }
      await member.switchover(target.report.uuid);
    },
  };
}

function createServer(file: MemberFiles, options: GroupOptions): Unit {
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
      probe: () =>
        asRoot(file, ["DO 1"]).then(
          () => true,
          () => false,
        ),
    },
    options.events,
  );
}

async function prepareMember(
  file: MemberFiles,
  groupName: string,
  template: string,
  options: GroupOptions,
): Promise<void> {
  await copyTemplate(template, file.dataFolder);
  const { ports: groupPorts, volatile, tool } = options;
  await writeFile(file.cnf, memberCnf({ ...file, groupName, groupPorts, volatile, root: tool.root }));
}

// On a new member only, before it has ever been in a group; so it must not leave a trace in the binary log.
async function giveAccountsTheirPasswords(file: MemberFiles, passwords: Passwords): Promise<void> {
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

function leadEvents({ report }: GroupOptions) {
  return {
    decided: ({ health, why }: { health: string; why: string }) => report?.(`the group is ${health}: ${why}`),
    primary: (name: string) => report?.(`${name} is the primary`),
    failed: (action: { kind: string; member: string }, reason: string, againInMs: number) =>
      report?.(`${action.member} could not ${action.kind} (${reason}); again in ${againInMs / 1000} s`),
  };
}
