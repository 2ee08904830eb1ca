/**
 * The state of a group as a table: member, state, role, applier queue, transactions.
 */
import type { Decision, Situation } from "./decide.ts";

/** One member. */
export interface MemberStatus {
  /** `host:port`. */
  readonly name: string;
  /** What MySQL calls `MEMBER_STATE`, or `DOWN` if it does not answer. */
  readonly state: string;
  /** `PRIMARY`, `SECONDARY`, or empty outside a group. */
  readonly role: string;
  readonly isReadOnly: boolean;
  /** Transactions that wait to be applied here. */
  readonly queue: number;
  /** GTID set of the executed transactions. */
  readonly executed: string;
}

/** All members. */
export interface GroupStatus {
  readonly health: Decision["health"];
  readonly why: string;
  readonly members: readonly MemberStatus[];
}

/** Makes a status of what was observed. */
export function statusOf(situations: readonly Situation[], decision: Decision | undefined): GroupStatus {
  const members = situations.map(({ name, report }) => ({
    name,
    state: report?.state ?? "DOWN",
    role: report?.view.find(({ uuid }) => uuid === report.uuid)?.role ?? "",
    isReadOnly: report?.isReadOnly ?? true,
    queue: report?.queue ?? 0,
    executed: report?.executed ?? "",
  }));
  return { health: decision?.health ?? "forming", why: decision?.why ?? "not started", members };
}

/** Rows for a table, the heading first. */
export function statusRows({ members }: GroupStatus): readonly (readonly string[])[] {
  return [
    ["member", "state", "role", "writes", "queue", "transactions"],
    ...members.map((one) => [
      one.name,
      one.state,
      one.role,
      one.isReadOnly ? "refused" : "taken",
      `${one.queue}`,
      one.executed,
    ]),
  ];
}
