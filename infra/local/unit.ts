/** One thing that the launcher starts, and the order among them: each starts once what it needs is ready, and stops once
 *  what needs it has stopped. Things that do not need each other start and stop at the same time. */
import type { ProcessState } from "./state.ts";

/** A server, or a group of servers that start and stop together. */
export interface Unit {
  readonly name: string;
  /** Names of the units that must be ready first. */
  readonly after: readonly string[];
  /** Resolves when it is ready; rejects when it cannot be, or with the signal's reason. */
  start(signal: AbortSignal): Promise<void>;
  /** Resolves when none of its processes runs any more. Never rejects; also right when it was never started. */
  stop(): Promise<void>;
  /** Its processes now. */
  processes(): readonly ProcessState[];
}

/** What happens on the way. */
export interface UnitEvents {
  starting(unit: Unit): void;
  ready(unit: Unit, afterMs: number): void;
}

/** Starts all of them. Rejects with the first failure; what has been started then still has to be stopped. */
export async function startUnits(
  units: readonly Unit[],
  events: UnitEvents,
  signal: AbortSignal,
): Promise<void> {
  assertOrder(units);
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  const started = new Map<string, Promise<void>>();
  for (const unit of inOrder(units)) {
    const needs = promisesOf(unit.after, started);
    started.set(
      unit.name,
      Promise.all(needs).then(() => startUnit(unit, events, either)),
    );
  }
  try {
    await Promise.all(started.values());
  } catch (error) {
    failure.abort(error);
    await Promise.allSettled(started.values());
    throw error;
  }
}

/** Stops all of them, those that nobody needs first. */
export async function stopUnits(units: readonly Unit[]): Promise<void> {
  const stopped = new Map<string, Promise<void>>();
  for (const unit of inOrder(units).toReversed()) {
    const dependents = units.filter(({ after }) => after.includes(unit.name)).map(({ name }) => name);
    stopped.set(
      unit.name,
      Promise.all(promisesOf(dependents, stopped)).then(() => unit.stop()),
    );
  }
  await Promise.all(stopped.values());
}

async function startUnit(unit: Unit, events: UnitEvents, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  events.starting(unit);
  const begin = performance.now();
  await unit.start(signal);
  events.ready(unit, performance.now() - begin);
}

function promisesOf(names: readonly string[], promises: ReadonlyMap<string, Promise<void>>): Promise<void>[] {
  return names.flatMap((name) => promises.get(name) ?? []);
}

function inOrder(units: readonly Unit[]): readonly Unit[] {
  const done = new Set<string>();
  const ordered: Unit[] = [];
  while (ordered.length < units.length) {
    const next = units.filter(({ name, after }) => !done.has(name) && after.every((need) => done.has(need)));
    if (next.length === 0) throw new TypeError("the units need each other in a circle");
    for (const unit of next) {
      done.add(unit.name);
      ordered.push(unit);
    }
  }
  return ordered;
}

function assertOrder(units: readonly Unit[]): void {
  const names = new Set(units.map(({ name }) => name));
  for (const { name, after } of units) {
    const missing = after.find((need) => !names.has(need));
    if (missing !== undefined) throw new TypeError(`unit ${name} needs ${missing}, which is not there`);
  }
}
