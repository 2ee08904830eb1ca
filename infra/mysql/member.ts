/**
 * What the supervisor says to one member of a group, and hears from it, over one SQL connection as the agent account. It
 * does not matter whether the member is a child process here or runs in a container elsewhere.
 */
import {
  createConnection,
  type Connection,
  type ConnectionOptions,
  type RowDataPacket,
} from "mysql2/promise";
import { AGENT_ACCOUNT, REPLICATION_ACCOUNT } from "./accounts.ts";

/** How to reach a member: a socket on this machine, or an address. */
export interface MemberAddress {
  /** `host:port` as the group knows it; also its name in logs and status. */
  readonly name: string;
  /** Used instead of the address when given: it works before the network does, and needs no TLS. */
  readonly socket?: string | undefined;
}

/** What MySQL calls `MEMBER_STATE`. */
export type MemberState = "ONLINE" | "RECOVERING" | "OFFLINE" | "ERROR" | "UNREACHABLE";

/** A member as another member (or itself) sees it. */
export interface ViewRow {
  readonly uuid: string;
  readonly name: string;
  readonly state: MemberState;
  readonly role: "PRIMARY" | "SECONDARY" | "";
}

/** What a member tells about itself and the group. */
export interface MemberReport {
  readonly uuid: string;
  /** Its own state, as it sees itself. */
  readonly state: MemberState;
  readonly view: readonly ViewRow[];
  readonly executed: string;
  /** Transactions that reached it through the group, whether it has executed them or not. */
  readonly received: string;
  readonly isReadOnly: boolean;
  /** Transactions that wait to be applied here. */
  readonly queue: number;
}

/** A member that can be asked and told. Every call opens what it needs and rejects when the member does not answer. */
export interface Member {
  readonly name: string;
  /**
   * Rejects after `OBSERVE_LIMIT_MS`. While a member starts or stops group replication, what it has received and its
   * queue can only be read a second later: with `isBusy` they are left out.
   */
  observe(isBusy: boolean): Promise<MemberReport>;
  /** Begins a new group of which this is the first member and primary. Only one may ever do so. */
  bootstrap(): Promise<void>;
  /** Joins the group that the other members are in. Resolves about 1 s after the member is ONLINE. */
  join(): Promise<void>;
  /** Leaves the group, or the state ERROR, and stays read-only. */
  leave(): Promise<void>;
  /** Makes the member with this UUID the primary; open transactions elsewhere are ended after 5 s. */
  switchover(uuid: string): Promise<void>;
  /** Closes the connection for observing. */
  close(): void;
}

/** Longest wait for a report. A frozen server accepts connections and says nothing. */
export const OBSERVE_LIMIT_MS = 2000;

const SELF_SQL =
  "SELECT @@server_uuid AS uuid, @@global.gtid_executed AS executed, @@super_read_only AS readOnly";
const CHANNEL_SQL = `SELECT
  (SELECT received_transaction_set FROM performance_schema.replication_connection_status
    WHERE channel_name = 'group_replication_applier') AS received,
  (SELECT count_transactions_remote_in_applier_queue FROM performance_schema.replication_group_member_stats
    WHERE member_id = @@server_uuid) AS queue`;
const VIEW_SQL = `SELECT member_id AS uuid, member_host AS host, member_port AS port, member_state AS state,
  member_role AS role FROM performance_schema.replication_group_members`;

/** A member at an address. `passwords` are those of the agent and replication accounts. */
export function createMember(
  address: MemberAddress,
  passwords: { readonly agent: string; readonly replication: string },
): Member {
  const options = connectionOptions(address, AGENT_ACCOUNT, passwords.agent);
  let observer: Promise<Connection> | undefined;

  async function observe(isBusy: boolean): Promise<MemberReport> {
    observer ??= createConnection(options);
    const current = observer;
    try {
      return await within(
        OBSERVE_LIMIT_MS,
        current.then((connection) => readReport(connection, isBusy)),
      );
    } catch (error) {
      if (observer === current) observer = undefined;
      // It may never have connected, or be stuck: no goodbye, no waiting.
      current.then((connection) => connection.destroy()).catch(() => undefined);
      throw error;
    }
  }

  async function tell(...statements: (string | [string, unknown[]])[]): Promise<void> {
    const connection = await createConnection(options);
    try {
      for (const statement of statements) {
        if (typeof statement === "string") await connection.query(statement);
        else await connection.query(...statement);
      }
    } finally {
      // Properly: a server that is then shut down waits for sessions that it believes alive.
      await connection.end().catch(() => undefined);
    }
  }

  // Credentials given here stay in memory; CHANGE REPLICATION SOURCE would write them to disk in clear.
  const start: [string, unknown[]] = [
    "START GROUP_REPLICATION USER = ?, PASSWORD = ?",
    [REPLICATION_ACCOUNT, passwords.replication],
  ];
  // A member that was expelled for good is in offline mode, where only administrators may connect.
  const comeBack = "SET GLOBAL offline_mode = OFF";

  return {
    name: address.name,
    observe,
    async bootstrap() {
      try {
        await tell(comeBack, "SET GLOBAL group_replication_bootstrap_group = ON", start);
      } finally {
        await tell("SET GLOBAL group_replication_bootstrap_group = OFF");
      }
    },
    join: () => tell(comeBack, start),
    leave: () => tell("STOP GROUP_REPLICATION"),
    switchover: (uuid) => tell(["SELECT group_replication_set_as_primary(?, 5)", [uuid]]),
    close() {
      observer?.then((connection) => connection.destroy()).catch(() => undefined);
      observer = undefined;
    },
  };
}

/** Options of mysql2 for an account at a member. */
export function connectionOptions(address: MemberAddress, user: string, password: string): ConnectionOptions {
  const [host, port] = address.name.split(":");
  const where = address.socket === undefined ? { host, port: Number(port) } : { socketPath: address.socket };
  return { ...where, user, password, connectTimeout: OBSERVE_LIMIT_MS } as ConnectionOptions;
}

async function readReport(connection: Connection, isBusy: boolean): Promise<MemberReport> {
  const [[self]] = await connection.query<RowDataPacket[]>(SELF_SQL);
  const [rows] = await connection.query<RowDataPacket[]>(VIEW_SQL);
  const [[channel]] = isBusy ? [[]] : await connection.query<RowDataPacket[]>(CHANNEL_SQL);
  const own = self as { uuid: string; executed: string; readOnly: number };
  const view: ViewRow[] = rows
    // Before it has ever been in a group, a member lists itself without a UUID.
    .filter((row) => row["uuid"] !== "")
    .map((row) => ({
      uuid: row["uuid"],
      name: `${row["host"]}:${row["port"]}`,
      state: row["state"],
      role: row["role"],
    }));
  return {
    uuid: own.uuid,
    state: view.find(({ uuid }) => uuid === own.uuid)?.state ?? "OFFLINE",
    view,
    executed: own.executed.replaceAll(/\s/g, ""),
    received: ((channel?.["received"] ?? "") as string).replaceAll(/\s/g, ""),
    isReadOnly: own.readOnly === 1,
    queue: Number(channel?.["queue"] ?? 0),
  };
}

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
