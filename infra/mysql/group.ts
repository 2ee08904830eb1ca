/**
 * A MySQL group on this machine: members as child processes, started again when they die, and a leader that brings them
 * into one group and keeps them there. Stopping loses nothing and takes seconds.
 */
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { ProcessState } from "../local/state.ts";
import type { Unit } from "../local/unit.ts";
import { tryLock, unlock } from "../tools/lock.ts";
import { AGENT_ACCOUNT, ensurePasswords, REPLICATION_ACCOUNT, type Passwords } from "./accounts.ts";
import { membersOf, prepareGroupFolder } from "./folder.ts";
import { leadGroup, primaryOf, type Lead } from "./lead.ts";
import { createMember, type Member } from "./member.ts";
import { createServer, giveAccountsTheirPasswords, prepareMember, type ServerOptions } from "./server.ts";
import { statusOf, type GroupStatus } from "./status.ts";
import { ensureTemplate } from "./template.ts";

/** A group to run. */
export interface GroupOptions extends ServerOptions {
  /** Data, passwords and sockets. Only its owner can look into it. */
  readonly folder: string;
  /** What happens to the group as a whole, one sentence each. */
  readonly report?: ((line: string) => void) | undefined;
  /** Where the template is kept. Default: the per-user cache. */
  readonly cacheFolder?: string | undefined;
}

/** A running group. As a unit of the launcher it is ready when all members are ONLINE. */
export interface Group extends Unit {
  /** The state of every member. */
  status(): GroupStatus;
  /** Makes another member the primary, by its port; open transactions are ended after 5 s. */
  switchover(port: number): Promise<void>;
}

// Together with the time for shutting down it bounds how long Ctrl-C takes.
const LEAVE_LIMIT_MS = 5000;
const GONE_LIMIT_MS = 1500;
const JOIN_LIMIT_MS = 2000;

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

  // A member that has left the group goes down at once; one that is shut down inside it may take a minute.
  async function stopMember(i: number): Promise<void> {
    const left = servers[i]?.processes().length === 0 ? undefined : members[i]?.leave();
    const limit = new AbortController();
    const timer = wait(LEAVE_LIMIT_MS, undefined, { signal: limit.signal });
    await Promise.race([left, timer]).catch(() => undefined);
    limit.abort();
    await timer.catch(() => undefined);
    members[i]?.close();
    await servers[i]?.stop();
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
      // A member does not leave while it is still told to join.
      await lead?.stop(options.volatile === true ? 0 : JOIN_LIMIT_MS);
      // Nobody will miss the data of a volatile group: its members are killed.
      if (options.volatile === true) members = [];
      const primary = files.findIndex(({ name }) => name === primaryOf(lead?.situations() ?? []));
      const others = files.map((_, i) => i).filter((i) => i !== primary);
      const stopped: Promise<void>[] = [];
      for (const i of primary === -1 ? others : [...others, primary]) {
        stopped.push(stopMember(i));
        if (i !== primary) await untilGone(files[i]?.name, members[primary]);
      }
      await Promise.all(stopped);
      for (const member of members) member.close();
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

// Leaving is known to the others within milliseconds, while the one that leaves waits for seconds: so members leave one
// after the other, the primary last, without waiting for the end of that. Leaving at the same moment costs the majority.
async function untilGone(name: string | undefined, primary: Member | undefined): Promise<void> {
  const until = performance.now() + GONE_LIMIT_MS;
  while (performance.now() < until) {
    const report = await primary?.observe(true).catch(() => undefined);
    if (report?.view.some((row) => row.name === name) !== true) return;
    await wait(20);
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
