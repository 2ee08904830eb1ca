/** Asks a member what it sees of its group. */
import type { Clock } from "../clock.ts";
import { connect, type Account, type Connection } from "./connection.ts";
import { classifyError, sqlError, STATEMENT_TIMEOUT } from "./errors.ts";
import type { Problem, View } from "./topology.ts";

/** Asks members for their view. Never rejects: a problem is an answer too. */
export interface Ask {
  (address: string): Promise<View | Problem>;
  /** Closes what it has opened. */
  close?(): void;
}

/** A handshake takes longer than a question, on a busy machine much longer. */
const CONNECT_MS = 1500;

const QUESTION = `
  SELECT m.member_id AS id, m.member_host AS host, m.member_port AS port, m.member_state AS state,
         m.member_role AS role, m.member_id = @@server_uuid AS self, s.view_id AS viewId,
         s.count_transactions_remote_in_applier_queue AS applierQueue,
         @@read_only AS readOnly, @@offline_mode AS offline
  FROM performance_schema.replication_group_members m
  LEFT JOIN performance_schema.replication_group_member_stats s USING (member_id)`;

interface Row {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly state: string;
  readonly role: string;
  readonly self: number;
  readonly viewId: string | null;
  readonly applierQueue: number | string | null;
  readonly readOnly: number;
  readonly offline: number;
}

/** Asks one member over a connection that is kept from one question to the next. */
export function askOverConnection(options: {
  readonly account: Account;
  readonly deadlineMs: number;
  readonly clock: Clock;
}): Ask {
  const { account, deadlineMs, clock } = options;
  let connection: Connection | undefined;
  let isClosed = false;
  const ask = async (address: string): Promise<View | Problem> => {
    try {
      if (connection?.usable !== true) {
        connection = await connect({ ...account, member: address, timeoutMs: CONNECT_MS, clock });
        if (isClosed) connection.close();
      }
      const { rows } = await connection.run(QUESTION, [], deadlineMs);
      return toView(rows as readonly Row[]);
    } catch (error) {
      const failure = sqlError(address, error);
      const refused = classifyError(failure, { phase: "unsent", healthy: true }) === "refused";
      const late = failure.code === STATEMENT_TIMEOUT;
      return {
        problem: failure.message.slice(address.length + 2),
        ...(refused && { refused }),
        ...(late && { late }),
      };
    }
  };
  const close = () => {
    isClosed = true;
    connection?.close();
  };
  return Object.assign(ask, { close });
}

function toView(rows: readonly Row[]): View {
  const self = rows.find((row) => row.self === 1);
  return {
    self: self?.id ?? "",
    viewId: self?.viewId ?? "",
    members: rows.map(({ id, host, port, state, role }) => ({ id, address: `${host}:${port}`, state, role })),
    applierQueue: Number(self?.applierQueue ?? 0),
    readOnly: rows[0]?.readOnly === 1,
    offline: rows[0]?.offline === 1,
  };
}
