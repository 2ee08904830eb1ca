/** Knows which operations of a database run: catches those within a transaction, and lets the last ones finish. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Clock } from "../clock.ts";
import { misuse } from "./transaction.ts";

/** The operations of one database. */
export interface Scopes {
  /** Runs an operation. Rejects with DATABASE_MISUSE within a transaction of the same database, or after the end. */
  run<T>(what: string, operation: () => Promise<T>): Promise<T>;
  /** Runs the work of a transaction: nothing else may be run on the database within it. */
  transaction<T>(work: () => Promise<T>): Promise<T>;
  /** Takes no more operations, and resolves when none runs, at the latest after `graceMs`. */
  drain(graceMs: number, clock: Clock): Promise<void>;
}

/** Makes the scopes of a database. */
export function createScopes(): Scopes {
  // Timers do not keep a process alive, and between two questions to the group there may be no socket: whoever waits for
  // an answer must not end with the process for that.
  const alive = setInterval(() => undefined, 2 ** 30).unref();
  const transactions = new AsyncLocalStorage<{ isOpen: boolean }>();
  let running = 0;
  let isClosed = false;
  let whenIdle: (() => void) | undefined;

  return {
    async run(what, operation) {
      if (isClosed) throw misuse(`${what} was called after the database was closed`);
      if (transactions.getStore()?.isOpen === true) throw misuse(nested(what));
      if (running++ === 0) alive.ref();
      try {
        return await operation();
      } finally {
        if (--running === 0) {
          alive.unref();
          whenIdle?.();
        }
      }
    },
    async transaction(work) {
      const transaction = { isOpen: true };
      try {
        return await transactions.run(transaction, work);
      } finally {
        transaction.isOpen = false;
      }
    },
    async drain(graceMs, clock) {
      isClosed = true;
      if (running > 0) await idle(graceMs, clock, (listener) => (whenIdle = listener));
      clearInterval(alive);
    },
  };
}

function idle(graceMs: number, clock: Clock, listen: (listener: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(graceMs, resolve);
    listen(() => {
      cancel();
      resolve();
    });
  });
}

function nested(what: string): string {
  return `${what} was called within db.write: it would not see the transaction, and may wait for it for ever; use its tx`;
}
