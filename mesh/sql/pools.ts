/**
 * The connections to all members, of several kinds: those that write, and those that read, whose session is read only, so
 * that a misplaced write fails on the primary too. Spare connections to members that may become the primary make a
 * promotion cost no handshakes.
 */
import type { Clock } from "../clock.ts";
import { connect, type Account } from "./connection.ts";
import { createMemberPool, type MemberPool } from "./member-pool.ts";
import type { Monitor } from "./monitor.ts";

/** What the pools need. */
export interface PoolsOptions {
  readonly monitor: Monitor;
  readonly account: Account;
  readonly database: string;
  /** Most connections of each kind to each member. */
  readonly size: number;
  /** Idle connections that are kept; to every readable member as many writing ones are opened beforehand. */
  readonly spare: number;
  readonly connectMs: number;
  readonly clock: Clock;
}

/** The pools. */
export interface Pools {
  writing(member: string): MemberPool;
  reading(member: string, kind: ReadKind): MemberPool;
  close(): void;
}

/**
 * How a member answers a read: `primary` not before a new primary has everything that the former one committed, `any` with
 * whatever it has, `strong` not before it has all that was committed anywhere.
 */
export type ReadKind = "primary" | "any" | "strong";

type Kind = "write" | ReadKind;

const COMMON =
  "time_zone = '+00:00', SESSION transaction_isolation = 'READ-COMMITTED', SESSION innodb_lock_wait_timeout = 2";

const READ_ONLY = `${COMMON}, SESSION transaction_read_only = ON`;

/** One statement for each new session of a kind. https://dev.mysql.com/doc/refman/9.7/en/group-replication-consistency-guarantees.html */
const setups: Readonly<Record<Kind, string>> = {
  write: `SET SESSION ${COMMON}`,
  primary: `SET SESSION ${READ_ONLY}`,
  any: `SET SESSION ${READ_ONLY}, SESSION group_replication_consistency = 'EVENTUAL'`,
  strong: `SET SESSION ${READ_ONLY}, SESSION group_replication_consistency = 'BEFORE'`,
};

/** Makes the pools. */
export function createPools(options: PoolsOptions): Pools {
  const pools = new Map<string, MemberPool>();
  const pool = (kind: Kind, member: string): MemberPool => {
    const key = `${kind} ${member}`;
    const known = pools.get(key);
    if (known !== undefined) return known;
    const made = createPool(options, kind, member);
    pools.set(key, made);
    return made;
  };
  const unwatch = options.monitor.watch(({ readers }) => {
    for (const member of readers) pool("write", member).warm(options.spare);
  });
  return {
    writing: (member) => pool("write", member),
    reading: (member, kind) => pool(kind, member),
    close() {
      unwatch();
      for (const each of pools.values()) each.close();
    },
  };
}

function createPool(options: PoolsOptions, kind: Kind, member: string): MemberPool {
  const { account, database, size, spare, connectMs, clock } = options;
  return createMemberPool({
    member,
    size,
    spare,
    clock,
    open: (onGone) =>
      connect({
        ...account,
        member,
        database,
        setup: setups[kind],
        timeoutMs: connectMs,
        clock,
        onGone,
        kill: (threadId) => void killThread(options, member, threadId),
      }),
  });
}

/** Ends a session on the server, so that its statement does not go on without us. Failing is no harm: it is tried once. */
async function killThread(options: PoolsOptions, member: string, threadId: number): Promise<void> {
  const { account, connectMs, clock } = options;
  try {
    const connection = await connect({ ...account, member, timeoutMs: connectMs, clock });
    await connection.run(`KILL ${threadId}`, [], connectMs);
    connection.close();
  } catch {
    // The member is frozen or gone, and the session with it.
  }
}
