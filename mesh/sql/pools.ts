/**
 * The connections to all members. Three kinds: those that write; those that read, whose session is read only, so that a
 * misplaced write fails on the primary too; and those for strong reads, which wait for what others have committed.
 * Spare connections to members that may become the primary make a promotion cost no handshakes.
 */
import type { Clock } from "../clock.ts";
import { connect } from "./connection.ts";
import { createMemberPool, type MemberPool } from "./member-pool.ts";
import type { Monitor } from "./monitor.ts";

/** What the pools need. */
export interface PoolsOptions {
  readonly monitor: Monitor;
  readonly user: string;
  readonly password: string;
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
  reading(member: string, isStrong: boolean): MemberPool;
  close(): void;
}

type Kind = "write" | "read" | "strong";

const COMMON =
  "time_zone = '+00:00', SESSION transaction_isolation = 'READ-COMMITTED', SESSION innodb_lock_wait_timeout = 2";

/** One statement for each new session of a kind. */
const setups: Readonly<Record<Kind, string>> = {
  write: `SET SESSION ${COMMON}`,
  read: `SET SESSION ${COMMON}, SESSION transaction_read_only = ON`,
  strong: `SET SESSION ${COMMON}, SESSION transaction_read_only = ON, SESSION group_replication_consistency = 'BEFORE'`,
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
    reading: (member, isStrong) => pool(isStrong ? "strong" : "read", member),
    close() {
      unwatch();
      for (const each of pools.values()) each.close();
    },
  };
}

function createPool(options: PoolsOptions, kind: Kind, member: string): MemberPool {
  const { user, password, database, size, spare, connectMs, clock } = options;
  return createMemberPool({
    member,
    size,
    spare,
    clock,
    open: (onGone) =>
      connect({
        member,
        user,
        password,
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
  const { user, password, connectMs, clock } = options;
  try {
    const connection = await connect({ member, user, password, timeoutMs: connectMs, clock });
    await connection.run(`KILL ${threadId}`, [], connectMs);
    connection.close();
  } catch {
    // The member is frozen or gone, and the session with it.
  }
}
