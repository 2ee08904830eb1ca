/**
 * What to do next with a group, from what its members report: a pure function, called again and again until all are in
 * one group. It never makes two writers: a group begins only when every member answers, none is in a group, and one has
 * seen all that any of them has seen.
 */
import { isSubset, noGtids, parseGtidSet, unionOf } from "../../mesh/sql/gtid.ts";
import type { MemberReport } from "./member.ts";

/** What is known about a member at one moment. */
export interface Situation {
  readonly name: string;
  /** Undefined while it does not answer. */
  readonly report: MemberReport | undefined;
  /** A command to it is under way. */
  readonly isBusy: boolean;
  /** Since when it has been in its present state, in monotonic milliseconds. */
  readonly sinceMs: number;
  /** It is left alone until then: the last attempt failed. */
  readonly retryAtMs: number;
}

/** A command to one member. */
export interface Action {
  readonly kind: "bootstrap" | "join" | "leave";
  readonly member: string;
}

/** The state of the whole group, and what to do about it. */
export interface Decision {
  /**
   * `whole`: all members are ONLINE. `degraded`: a majority is. `forming`: none yet, and it goes on by itself.
   * `stuck`: an operator is needed.
   */
  readonly health: "whole" | "degraded" | "forming" | "stuck";
  /** One sentence: what is waited for, or what is wrong and what to do. */
  readonly why: string;
  readonly actions: readonly Action[];
}

/**
 * Joins that begin closer together than 500 ms collide, and one of them waits for 10 to 20 s. With 1 s between them the
 * second one is ready no later, and more evenly: the group takes in one member a second anyway.
 */
export const JOIN_GAP_MS = 1000;

// The server tries to come back by itself after a partition; a STOP in the middle of that would only delay it.
const ERROR_GRACE_MS = 10_000;

/** Decides. `lastJoinMs`: when the last join began. */
export function decide(situations: readonly Situation[], nowMs: number, lastJoinMs: number): Decision {
  const living = situations.filter(({ report }) => report !== undefined && hasMajority(report));
  if (living.length === 0) return beginGroup(situations, nowMs);
  if (areTwoGroups(living)) {
    const names = living.map(({ name }) => name).join(" and ");
    return stuck(
      `${names} are in different groups: stop one of them, and remove its data if it is to join the other`,
    );
  }
  return completeGroup(situations, living, nowMs, lastJoinMs);
}

/** Whether a member is in a group and sees a majority of it. */
export function hasMajority(report: MemberReport): boolean {
  const present = report.view.filter(({ state }) => state === "ONLINE" || state === "RECOVERING");
  return report.state === "ONLINE" && present.length * 2 > report.view.length;
}

function completeGroup(
  situations: readonly Situation[],
  living: readonly Situation[],
  nowMs: number,
  lastJoinMs: number,
): Decision {
  const listed = new Set(living.flatMap(({ report }) => report?.view.map(({ uuid }) => uuid) ?? []));
  const outside = situations.filter((one) => !living.includes(one));
  if (outside.length === 0) return { health: "whole", why: "all members are ONLINE", actions: [] };
  const actions: Action[] = [];
  const reasons: string[] = [];
  for (const { name, report, isBusy, sinceMs, retryAtMs } of outside) {
    if (report === undefined) reasons.push(`${name} does not answer`);
    else if (isBusy || report.state === "RECOVERING") reasons.push(`${name} is joining`);
    else if (nowMs < retryAtMs) reasons.push(`${name} failed and is tried again soon`);
    else if (report.state === "ERROR") {
      if (nowMs - sinceMs >= ERROR_GRACE_MS) actions.push({ kind: "leave", member: name });
      reasons.push(`${name} is in state ERROR`);
    } else if (report.state !== "OFFLINE") reasons.push(`${name} is ${report.state}`);
    else if (listed.has(report.uuid)) reasons.push(`the group has not yet noticed that ${name} was gone`);
    else if (nowMs - lastJoinMs < JOIN_GAP_MS || actions.some(({ kind }) => kind === "join")) {
      reasons.push(`${name} joins next`);
    } else {
      actions.push({ kind: "join", member: name });
      reasons.push(`${name} is joining`);
    }
  }
  return { health: "degraded", why: reasons.join(", "), actions };
}

function beginGroup(situations: readonly Situation[], nowMs: number): Decision {
  const forming = (why: string, actions: readonly Action[] = []): Decision => ({
    health: "forming",
    why,
    actions,
  });
  const busy = situations.find(({ isBusy }) => isBusy);
  if (busy !== undefined) return forming(`${busy.name} is starting`);
  const silent = situations.filter(({ report }) => report === undefined).map(({ name }) => name);
  if (silent.length > 0) {
    return forming(
      `no group, and ${silent.join(" and ")} does not answer: it may have seen transactions that the others have not. ` +
        "If it is lost for good, begin the group without it: npm run mysql -- bootstrap --force PORT",
    );
  }
  const inside = situations.find(
    ({ report }) => report?.state === "ONLINE" || report?.state === "RECOVERING",
  );
  if (inside !== undefined) return forming(`${inside.name} has lost the majority and has not yet given up`);
  const waiting = situations.find(({ retryAtMs }) => nowMs < retryAtMs);
  if (waiting !== undefined) return forming(`${waiting.name} failed and is tried again soon`);
  const failed = situations.filter(({ report }) => report?.state === "ERROR");
  const leaving = failed.map(({ name }): Action => ({ kind: "leave", member: name }));
  const complete = mostComplete(situations);
  // Leaving the remains of a group takes 30 s; a member in state ERROR never writes, so the others need not wait for it.
  const first = complete.find((one) => !failed.includes(one));
  if (first !== undefined) {
    return forming(`${first.name} begins the group`, [{ kind: "bootstrap", member: first.name }, ...leaving]);
  }
  if (complete.length > 0) return forming("the group has ended", leaving);
  const sets = situations.map(
    ({ name, report }) => `${name} has ${report?.executed}, received ${report?.received}`,
  );
  return stuck(
    `no member has seen all that the others have seen (${sets.join("; ")}). Transactions will be lost: choose the member ` +
      "to keep with npm run mysql -- bootstrap --force PORT",
  );
}

/** The members whose executed and received transactions hold those of all others. */
export function mostComplete(situations: readonly Situation[]): readonly Situation[] {
  const seen = situations.map(({ report }) =>
    unionOf(parseGtidSet(report?.executed ?? ""), parseGtidSet(report?.received ?? "")),
  );
  return situations.filter((_, i) => seen.every((other) => isSubset(other, seen[i] ?? noGtids)));
}

function areTwoGroups(living: readonly Situation[]): boolean {
  const views = living.map(({ report }) => new Set(report?.view.map(({ uuid }) => uuid)));
  // Right after a change one member may not list the other yet; two groups never list each other.
  return living.some((one, i) =>
    living.some(
      (other, j) =>
        i < j &&
        views[i]?.has(other.report?.uuid ?? "") !== true &&
        views[j]?.has(one.report?.uuid ?? "") !== true,
    ),
  );
}

function stuck(why: string): Decision {
  return { health: "stuck", why, actions: [] };
}
