/**
 * Leads a group to the state in which all its members are ONLINE, and back to it after any failure: observes, decides,
 * commands, for as long as it runs. There must be one leader of a group.
 */
import { sleep, systemClock, type Clock } from "../../mesh/clock.ts";
import { messageOf } from "../../mesh/errors.ts";
import { decide, type Action, type Decision, type Situation } from "./decide.ts";
import type { Member, MemberReport, MemberState } from "./member.ts";

/** What the leader tells. */
export interface LeadEvents {
  /** The group's health or the reason for it has changed. */
  decided(decision: Decision): void;
  /** Another member is the primary now. */
  primary(name: string): void;
  /** A command failed; it is tried again after `againInMs`. */
  failed(action: Action, reason: string, againInMs: number): void;
}

/** A running leader. */
export interface Lead {
  /** Resolves when all members are ONLINE; rejects when the signal aborts, with its reason. */
  whole(signal: AbortSignal): Promise<void>;
  /** The members as they were seen last. */
  situations(): readonly Situation[];
  /** The last decision. */
  decision(): Decision;
  /** Stops leading; the group goes on as it is. Commands under way may end first, for so long at most. */
  stop(graceMs: number): Promise<void>;
}

const WHOLE_POLL_MS = 500;
const POLL_MS = 100;

interface Tracked {
  readonly member: Member;
  report: MemberReport | undefined;
  state: MemberState | undefined;
  sinceMs: number;
  failures: number;
  retryAtMs: number;
  busy: Promise<void> | undefined;
}

/** How long to wait before a failed command is tried again: 1 s, doubling up to 10 s. */
export function retryDelayMs(failures: number): number {
  return Math.min(1000 * 2 ** Math.max(0, failures - 1), 10_000);
}

/** Begins to lead. */
export function leadGroup(members: readonly Member[], events: LeadEvents, clock: Clock = systemClock): Lead {
  const now = () => clock.monotonic();
  const tracked: Tracked[] = members.map((member) => {
    return {
      member,
      report: undefined,
      state: undefined,
      sinceMs: now(),
      failures: 0,
      retryAtMs: 0,
      busy: undefined,
    };
  });
  const stopping = new AbortController();
  const waiters = new Set<() => void>();
  let decision: Decision = { health: "forming", why: "members are starting", actions: [] };
  let primary: string | undefined;
  let lastJoinMs = -Infinity;

  async function observe(one: Tracked): Promise<void> {
    one.report = await one.member.observe(one.busy !== undefined).catch(() => undefined);
    if (one.report?.state === one.state) return;
    one.state = one.report?.state;
    one.sinceMs = now();
    if (one.state === "ONLINE") one.failures = 0;
  }

  function command(action: Action): void {
    const one = tracked.find(({ member }) => member.name === action.member);
    if (one === undefined || one.busy !== undefined) return;
    if (action.kind === "join") lastJoinMs = now();
    one.busy = one.member[action.kind]()
      .catch((error: unknown) => {
        one.failures += 1;
        const delayMs = retryDelayMs(one.failures);
        one.retryAtMs = now() + delayMs;
        if (!stopping.signal.aborted) events.failed(action, messageOf(error), delayMs);
      })
      .finally(() => (one.busy = undefined));
  }

  function tellChanges(next: Decision): void {
    const changed = next.health !== decision.health || next.why !== decision.why;
    decision = next;
    if (changed) events.decided(next);
    const now = primaryOf(situations());
    if (now !== undefined && now !== primary) events.primary((primary = now));
    if (next.health === "whole") for (const waiter of waiters) waiter();
  }

  function situations(): readonly Situation[] {
    return tracked.map(({ member, report, busy, sinceMs, retryAtMs }) => {
      return { name: member.name, report, isBusy: busy !== undefined, sinceMs, retryAtMs };
    });
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      await Promise.all(tracked.map(observe));
      if (stopping.signal.aborted) return;
      tellChanges(decide(situations(), now(), lastJoinMs));
      for (const action of decision.actions) command(action);
      const delayMs = decision.health === "whole" ? WHOLE_POLL_MS : POLL_MS;
      await sleep(delayMs, stopping.signal, clock).catch(() => undefined);
    }
  }

  const looping = loop();
  return {
    situations,
    decision: () => decision,
    whole(signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error);
        const settle = (how: () => void) => () => {
          waiters.delete(done);
          signal.removeEventListener("abort", abort);
          how();
        };
        const done = settle(resolve);
        const abort = settle(() => reject(signal.reason as Error));
        if (decision.health === "whole") return done();
        waiters.add(done);
        signal.addEventListener("abort", abort, { once: true });
      });
    },
    async stop(graceMs) {
      stopping.abort();
      await looping;
      const commands = tracked.flatMap(({ busy }) => busy ?? []);
      if (commands.length > 0) await Promise.race([Promise.all(commands), sleep(graceMs, undefined, clock)]);
      for (const { member } of tracked) member.close();
    },
  };
}

/** The member that a majority knows as the primary. */
export function primaryOf(situations: readonly Situation[]): string | undefined {
  return situations.find(({ report }) => report?.state === "ONLINE" && !report.isReadOnly)?.name;
}
