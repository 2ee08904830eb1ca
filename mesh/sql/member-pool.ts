/**
 * Connections of one kind to one member. Nobody waits longer than promised for one, those who wait are served in order,
 * and a connection that failed is never handed out again.
 */
import type { Clock } from "../clock.ts";
import type { Connection } from "./connection.ts";
import { ACQUIRE_TIMEOUT, CONNECTION_CLOSED, sqlError, SqlError } from "./errors.ts";

/** What a pool needs. */
export interface MemberPoolOptions {
  /** `host:port`, for errors. */
  readonly member: string;
  /** Most connections at a time. */
  readonly size: number;
  /** Idle connections that are kept. */
  readonly spare: number;
  readonly clock: Clock;
  /** Opens one; `onGone` is called once it can't be used any more. */
  readonly open: (onGone: () => void) => Promise<Connection>;
}

/** A pool. */
export interface MemberPool {
  /** Connections in use plus those who wait for one. */
  readonly load: number;
  /** Takes a connection, and gives it back with `release`. Rejects with a SqlError. */
  acquire(timeoutMs: number): Promise<Connection>;
  /** Takes a connection back. It is used again if it still can be. */
  release(connection: Connection): void;
  /** Opens connections until there are `count`, without anybody waiting for them. Failures are ignored. */
  warm(count: number): void;
  /** Closes what is idle, and the rest when it is given back. Whoever waits is refused. */
  close(): void;
}

/** A connection beyond the spare ones that was idle this long is closed. */
const IDLE_MS = 10_000;

/** Makes a pool. It opens connections when they are needed. */
export function createMemberPool(options: MemberPoolOptions): MemberPool {
  return new Pool(options);
}

interface Waiter {
  readonly resolve: (connection: Connection) => void;
  readonly reject: (error: SqlError) => void;
}

class Pool implements MemberPool {
  readonly #options: MemberPoolOptions;
  /** Last used last: warm ones are used first, and the others age. */
  readonly #idle: { readonly connection: Connection; readonly since: number }[] = [];
  readonly #waiters = new Set<Waiter>();
  /** Open or being opened. */
  #count = 0;
  #used = 0;
  #opening = 0;
  #closed = false;
  #cancelShrink: (() => void) | undefined;

  constructor(options: MemberPoolOptions) {
    this.#options = options;
  }

  get load(): number {
    return this.#used + this.#waiters.size;
  }

  acquire(timeoutMs: number): Promise<Connection> {
    if (this.#closed) return Promise.reject(this.#error(CONNECTION_CLOSED, "the pool is closed"));
    const idle = this.#takeIdle();
    if (idle !== undefined) return Promise.resolve(idle);
    return new Promise((resolve, reject) => {
      const settle = () => {
        cancel();
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter = {
        resolve(connection) {
          settle();
          resolve(connection);
        },
        reject(error) {
          settle();
          reject(error);
        },
      };
      const cancel = this.#options.clock.after(timeoutMs, () =>
        waiter.reject(
          this.#error(ACQUIRE_TIMEOUT, `no connection became free within ${Math.round(timeoutMs)} ms`),
        ),
      );
      this.#waiters.add(waiter);
      this.#grow();
    });
  }

  release(connection: Connection): void {
    this.#used--;
    if (this.#closed) connection.close();
    else if (connection.usable) this.#offer(connection);
    else this.#grow();
  }

  warm(count: number): void {
    while (!this.#closed && this.#count < Math.min(count, this.#options.size)) void this.#open();
  }

  close(): void {
    this.#closed = true;
    this.#cancelShrink?.();
    for (const { connection } of this.#idle.splice(0)) connection.close();
    for (const waiter of this.#waiters) waiter.reject(this.#error(CONNECTION_CLOSED, "the pool is closed"));
  }

  #takeIdle(): Connection | undefined {
    const connection = this.#idle.pop()?.connection;
    if (connection !== undefined) this.#used++;
    return connection;
  }

  /** Opens as many as are waited for, as far as the size allows. */
  #grow(): void {
    while (this.#opening < this.#waiters.size && this.#count < this.#options.size) void this.#open();
  }

  async #open(): Promise<void> {
    this.#count++;
    this.#opening++;
    let connection: Connection | undefined;
    try {
      connection = await this.#options.open(() => this.#forget(connection));
      this.#opening--;
      if (this.#closed) connection.close();
      else if (connection.usable) this.#offer(connection);
    } catch (error) {
      this.#opening--;
      this.#count--;
      this.#firstWaiter()?.reject(sqlError(this.#options.member, error));
      this.#grow();
    }
  }

  #offer(connection: Connection): void {
    const waiter = this.#firstWaiter();
    if (waiter === undefined) {
      this.#idle.push({ connection, since: this.#options.clock.monotonic() });
      this.#shrinkLater();
      return;
    }
    this.#used++;
    waiter.resolve(connection);
  }

  #shrinkLater(): void {
    if (this.#cancelShrink !== undefined || this.#idle.length <= this.#options.spare) return;
    this.#cancelShrink = this.#options.clock.after(IDLE_MS, () => {
      this.#cancelShrink = undefined;
      const before = this.#options.clock.monotonic() - IDLE_MS;
      const old = this.#idle.filter(({ since }) => since <= before).length;
      const surplus = Math.min(old, this.#idle.length - this.#options.spare);
      // Closing one takes it out of the list.
      for (const { connection } of this.#idle.slice(0, Math.max(0, surplus))) connection.close();
      this.#shrinkLater();
    });
  }

  #forget(connection: Connection | undefined): void {
    // One that fails before it is open is counted where it was being opened.
    if (connection === undefined) return;
    this.#count--;
    const at = this.#idle.findIndex((idle) => idle.connection === connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#grow();
  }

  #firstWaiter(): Waiter | undefined {
    return this.#waiters.values().next().value;
  }

  #error(code: string, message: string): SqlError {
    return new SqlError(this.#options.member, { code, message, fatal: false });
  }
}
