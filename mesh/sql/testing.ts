/** What the tests of this folder share: members, connections and groups in memory. */
import type { Connection, Outcome } from "./connection.ts";
import { ACQUIRE_TIMEOUT, SqlError } from "./errors.ts";
import type { MemberPool } from "./member-pool.ts";
import type { Monitor } from "./monitor.ts";
import type { Topology } from "./topology.ts";

/** A group that is as the test says. */
export interface FakeMonitor extends Monitor {
  /** Makes it so. */
  set(change: Partial<Omit<Topology, "writer">> & { readonly writer: string | undefined }): void;
  /** Members that were suspected, in order. */
  readonly suspected: string[];
}

/** Makes a group of members, all of which can be read; the first is the primary. */
export function fakeMonitor(members: readonly string[]): FakeMonitor {
  const listeners = new Set<(topology: Topology) => void>();
  const suspected: string[] = [];
  let topology: Topology = {
    ...(members[0] !== undefined && { writer: members[0] }),
    readers: members,
    viewId: "1:1",
    members: members.map((address, i) => ({
      address,
      role: i === 0 ? "primary" : "secondary",
      state: "ONLINE",
      readable: true,
      applierQueue: 0,
    })),
  };
  return {
    get topology() {
      return topology;
    },
    suspected,
    ready: Promise.resolve(),
    set({ writer, ...change }) {
      const { writer: _former, ...rest } = topology;
      topology = { ...rest, ...change, ...(writer !== undefined && { writer }) };
      for (const listener of listeners) listener(topology);
    },
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    suspect: (address) => void suspected.push(address),
    answers: () => Promise.resolve(true),
    refresh: () => Promise.resolve(),
    close: () => listeners.clear(),
  };
}

/** Answers a statement, or throws. */
export type Answer = (sql: string, member: string) => Partial<Outcome> | Promise<Partial<Outcome>>;

/** A connection in memory. */
export interface FakeConnection extends Connection {
  readonly statements: string[];
  usable: boolean;
}

/** Makes a connection whose statements are answered by `answer`. */
export function fakeConnection(member: string, answer: Answer = () => ({})): FakeConnection {
  const statements: string[] = [];
  const dropped = Promise.withResolvers<never>();
  dropped.promise.catch(() => undefined);
  return {
    member,
    statements,
    usable: true,
    async run(sql) {
      statements.push(sql);
      try {
        const outcome = await Promise.race([answer(sql, member), dropped.promise]);
        return { rows: [], affectedRows: 0, insertId: 0, gtids: "", ...outcome };
      } catch (error) {
        if (error instanceof SqlError && error.fatal) this.usable = false;
        throw error;
      }
    },
    destroy() {
      this.usable = false;
      dropped.reject(failed("PROTOCOL_CONNECTION_LOST", member));
    },
    close() {
      this.usable = false;
    },
  };
}

/** Pools with a new connection for each who asks, none for `busy` members; `log` holds statements as `member: sql`. */
export function fakePools(
  answer: Answer,
  busy: readonly string[] = [],
): {
  readonly pool: (member: string) => MemberPool;
  readonly log: string[];
} {
  const log: string[] = [];
  const pool = (member: string): MemberPool => ({
    load: 0,
    async acquire() {
      if (busy.includes(member)) throw failed(ACQUIRE_TIMEOUT, member);
      return fakeConnection(member, (sql) => {
        log.push(`${member}: ${sql}`);
        return answer(sql, member);
      });
    },
    release: () => undefined,
    warm: () => undefined,
    close: () => undefined,
  });
  return { pool, log };
}

/** An error of a member: of the server if `code` is a number, else of the connection. */
export function failed(code: number | string, member = "a:1"): SqlError {
  return new SqlError(member, {
    ...(typeof code === "number" && { errno: code }),
    code: String(code),
    message: "failed",
    fatal: typeof code === "string",
  });
}
