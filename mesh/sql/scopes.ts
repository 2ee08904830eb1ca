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
  const transactions = new AsyncLocalStorage<{ isOpen: boolean }>();
  let running = 0;
  let isClosed = false;
  let whenIdle: (() => void) | undefined;

  return {
    async run(what, operation) {
      if (isClosed) throw misuse(`${what} was called after the database was closed`);
      if (transactions.getStore()?.isOpen === true) throw misuse(nested(what));
      running++;
      try {
        return await operation();
      } finally {
        running--;
        if (running === 0) whenIdle?.();
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
    drain(graceMs, clock) {
      isClosed = true;
      if (running === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const cancel = clock.after(graceMs, resolve);
        whenIdle = () => {
          cancel();
          resolve();
        };
      });
    },
  };
}

function nested(what: string): string {
  return `${what} was called within db.write: it would not see the transaction, and may wait for it for ever; use its tx`;
}
