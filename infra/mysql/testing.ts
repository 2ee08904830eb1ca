/**
 * A group for one test file: its own folder, free ports, settings that are fast because they may lose data. One member is
 * writable a second after the template has been made once.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../free-ports.ts";
import { ensureMysql } from "../tools/mysql.ts";
import { readPassword } from "./accounts.ts";
import { createGroup, type Group } from "./group.ts";

/** How large a test group is, and where it lives. */
export interface TestGroupOptions {
  /** Default 1. */
  readonly members?: 1 | 3;
  /** Default: a new folder that `stop` removes. */
  readonly folder?: string;
  /** Keep every promise of durability, as in production. Default false. */
  readonly durable?: boolean;
  /** What happens to the group, one sentence each. Default: silent. */
  readonly report?: (line: string) => void;
}

/** A group that runs. */
export interface TestGroup {
  readonly group: Group;
  readonly folder: string;
  readonly ports: readonly number[];
  /** `host:port` of every member, as `seeds` of a pool. */
  readonly seeds: readonly string[];
  /** Password of an account such as `order`; the schema has the same name. */
  password(account: string): Promise<string>;
  /** Pid of the member with this port; undefined while it is down. */
  pid(port: number): number | undefined;
  /** Ends all members. Quick for a volatile group, orderly for a durable one. */
  stop(): Promise<void>;
}

const START_LIMIT_MS = 60_000;

/** Starts a group; all members are ONLINE when it resolves. */
export async function startTestGroup(options: TestGroupOptions = {}): Promise<TestGroup> {
  const tool = await ensureMysql();
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "heddle-mysql-")));
  const ports = await freePorts(options.members ?? 1);
  const quiet = () => undefined;
  const group = createGroup({
    tool,
    folder,
    ports,
    volatile: options.durable !== true,
    logFile: (name) => join(folder, `${name}.log`),
    events: { spawned: quiet, exited: quiet, died: quiet, recovered: quiet },
    report: options.report,
  });
  const stop = async () => {
    await group.stop();
    if (options.folder === undefined) await rm(folder, { recursive: true });
  };
  try {
    await group.start(AbortSignal.timeout(START_LIMIT_MS));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    group,
    folder,
    ports,
    seeds: ports.map((port) => `127.0.0.1:${port}`),
    password: (account) => readPassword(folder, account),
    pid: (port) => group.processes().find(({ addresses }) => addresses["mysql"] === `127.0.0.1:${port}`)?.pid,
    stop,
  };
}
