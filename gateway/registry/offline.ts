/**
 * The registry while its store is away: it goes on from what this gateway knows and hears itself, and remembers what to
 * tell the store when it is back. No lease ends meanwhile.
 */
import { withSuspect, type KnownInstances } from "../../mesh/registry/known-instances.ts";
import { asStored } from "./machine.ts";
import type { Command, Outcome } from "./store.ts";

/** Takes commands in place of the store. */
export interface Offline {
  apply(command: Command, nowMs: number): Outcome;
  /** Gives the store what happened without it. What the store has taken is not given again. */
  replay(write: (command: Command) => Promise<unknown>): Promise<void>;
}

/** Works on the same knowledge that the store's changes go into. */
export function createOffline(known: KnownInstances): Offline {
  /** By instance id: what the store has to be told. */
  const untold = new Map<string, Command>();

  const apply = (command: Command, nowMs: number): Outcome => {
    if (command.kind === "reap") return "done";
    const { instanceId, incarnation } = command.kind === "register" ? command.instance : command;
    const before = known.live(instanceId);
    if (before !== undefined && before.incarnation > incarnation) return "stale";
    if (command.kind === "register") {
      known.upsert(asStored(command.instance));
      untold.set(instanceId, command);
      return "done";
    }
    if (command.kind === "deregister") {
      known.remove(instanceId, true, nowMs);
      untold.set(instanceId, command);
      return before === undefined ? "unknown" : "done";
    }
    if (before === undefined || before.incarnation < incarnation) return "unknown";
    known.upsert(withSuspect(before, command.kind === "suspect"));
    return "done";
  };

  return {
    apply,
    async replay(write) {
      for (const [instanceId, command] of untold) {
        await write(command);
        if (untold.get(instanceId) === command) untold.delete(instanceId);
      }
    },
  };
}
