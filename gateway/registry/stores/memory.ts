/** The registry of a single gateway, in its own memory. It forgets everything when the process ends. */
import { ulid } from "ulid";
import { systemClock, type Clock } from "../../../mesh/clock.ts";
import { createNotice } from "../../../mesh/registry/notice.ts";
import { RegistryMachine } from "../machine.ts";
import { DEFAULT_LEASE_MS, type Store } from "../store.ts";

/** Options of the store. */
export interface MemoryStoreOptions {
  /** How long an instance lives without a beat, unless it asks for another lease. Default 15 000. */
  readonly leaseMs?: number;
  /** Changes that are remembered. Default 10 000. */
  readonly logLength?: number;
  readonly clock?: Clock;
}

/** Makes an empty store, with an epoch of its own. */
export function createMemoryStore(options: MemoryStoreOptions = {}): Store {
  const { leaseMs = DEFAULT_LEASE_MS, logLength, clock = systemClock } = options;
  const machine = new RegistryMachine(leaseMs, logLength);
  const epoch = ulid();
  const notice = createNotice();
  return {
    write(command) {
      const before = machine.number;
      const outcome = machine.apply(command, clock.monotonic());
      if (machine.number !== before) notice.notify();
      return Promise.resolve({ outcome, revision: { epoch, number: machine.number } });
    },
    snapshot() {
      return Promise.resolve({ revision: { epoch, number: machine.number }, instances: machine.instances() });
    },
    async changes(after, signal) {
      if (after.epoch !== epoch) return undefined;
      if (after.number === machine.number) await notice.next(signal);
      return machine.changesAfter(after.number);
    },
    close: () => Promise.resolve(),
  };
}
