/**
 * Publishes what is in the outbox: at least once, one relay at a time for each row, in order for each aggregate. Several
 * instances may run one each; what a dead one had claimed is free again after a while.
 */
import { randomBytes } from "node:crypto";
import { systemClock, type Clock } from "../clock.ts";
import { silentLog, type Logger } from "../observe/log.ts";
import { detached } from "../rpc/context.ts";
import type { Database, Tx } from "../sql/database.ts";
import type { OutboxMessage } from "./outbox.ts";

/** What a relay needs. */
export interface RelayOptions {
  readonly db: Database;
  /**
   * Publishes one message. It may be called again for the same message, so it must do no harm twice. What it rejects with
   * is logged, and the message is tried again later, before any other message of its aggregate.
   */
  readonly publish: (message: OutboxMessage) => Promise<void>;
  /** How often to look for messages of others, besides when kicked. Default 250 ms. */
  readonly pollMs?: number;
  /** How long a claim holds; a message must be published well within it. Default 10 000 ms. */
  readonly claimMs?: number;
  /** Most messages claimed at a time. Default 100. */
  readonly batch?: number;
  readonly log?: Logger;
  readonly clock?: Clock;
}

/** A relay that runs. */
export interface Relay {
  /** Looks now: call it when a transaction with a message is committed. */
  kick(): void;
  /** Finishes what it is publishing and stops. */
  close(): Promise<void>;
}

/** Starts a relay. */
export function createRelay(options: RelayOptions): Relay {
  return detached(() => new OutboxRelay(options));
}

class OutboxRelay implements Relay {
  readonly #options: RelayOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  #isClosed = false;
  #isKicked = false;
  #cancelPause: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLog;
    this.#start();
  }

  kick(): void {
    this.#isKicked = true;
    if (this.#running === undefined && !this.#isClosed) detached(() => this.#start());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelPause?.();
    await this.#running;
  }

  #start(): void {
    this.#cancelPause?.();
    this.#running = this.#drain().then(() => {
      this.#running = undefined;
      if (!this.#isClosed)
        this.#cancelPause = this.#clock.after(this.#options.pollMs ?? 250, () => this.#start());
    });
  }

  async #drain(): Promise<void> {
    let isMore = true;
    while (!this.#isClosed && (isMore || this.#isKicked)) {
      this.#isKicked = false;
      try {
        isMore = await publishBatch(this.#options);
      } catch (error) {
        this.#log.warn({ err: error }, `the outbox of ${this.#options.db.name} was not published`);
        return;
      }
    }
  }
}

/** Tells whether there may be more. */
async function publishBatch({
  db,
  publish,
  claimMs = 10_000,
  batch = 100,
  log = silentLog,
}: RelayOptions): Promise<boolean> {
  const claim = randomBytes(16);
  const messages = await db.write((tx) => claimMessages(tx, claim, batch, claimMs));
  if (messages.length === 0) return false;
  const published: string[] = [];
  await Promise.all(
    perAggregate(messages).map(async (queue) => {
      for (const message of queue) {
        try {
          await publish(message);
        } catch (error) {
          log.warn(
            { err: error, topic: message.topic, aggregateId: message.aggregateId },
            "a message was not published",
          );
          return;
        }
        published.push(message.id);
      }
    }),
  );
  await db.write((tx) => settle(tx, claim, published));
  return published.length > 0;
}

interface Row {
  readonly id: number | string;
  readonly topic: string;
  readonly aggregate_id: string;
  readonly payload: Uint8Array;
  readonly attempts: number;
}

/**
 * Claims the oldest messages that nobody holds. All relays lock rows from the oldest on, so that one sees what the other
 * has claimed before it decides.
 */
async function claimMessages(
  tx: Tx,
  claim: Uint8Array,
  batch: number,
  claimMs: number,
): Promise<OutboxMessage[]> {
  const { affectedRows } = await tx.execute(
    `UPDATE outbox SET claim = ?, claimed_until = NOW(3) + INTERVAL ? MICROSECOND
      WHERE claimed_until <= NOW(3) ORDER BY id LIMIT ${batch}`,
    [claim, claimMs * 1000],
  );
  if (affectedRows === 0) return [];
  // Not those whose aggregate has an earlier message that somebody else holds, or that has to be tried again first.
  const late = await tx.query<{ id: number | string }>(
    `SELECT DISTINCT mine.id FROM outbox mine
       JOIN outbox earlier ON earlier.aggregate_id = mine.aggregate_id AND earlier.id < mine.id
      WHERE mine.claim = ? AND NOT (earlier.claim <=> ?)`,
    [claim, claim],
  );
  if (late.length > 0) {
    const ids = late.map(({ id }) => id);
    await tx.execute("UPDATE outbox SET claim = NULL, claimed_until = created_at WHERE id IN (?)", [ids]);
  }
  const rows = await tx.query<Row>(
    "SELECT id, topic, aggregate_id, payload, attempts FROM outbox WHERE claim = ? ORDER BY id",
    [claim],
  );
  return rows.map(({ id, topic, aggregate_id, payload, attempts }) => ({
    id: String(id),
    topic,
    aggregateId: aggregate_id,
    payload,
    attempts,
  }));
}

/** The messages of each aggregate, in order. */
function perAggregate(messages: readonly OutboxMessage[]): readonly (readonly OutboxMessage[])[] {
  return [...Map.groupBy(messages, ({ aggregateId }) => aggregateId).values()];
}

/** Removes what was published; the rest is free again after a pause that grows with each attempt, up to 30 s. */
async function settle(tx: Tx, claim: Uint8Array, published: readonly string[]): Promise<void> {
  if (published.length > 0)
    await tx.execute("DELETE FROM outbox WHERE claim = ? AND id IN (?)", [claim, published]);
  await tx.execute(
    `UPDATE outbox SET attempts = attempts + 1, claim = NULL,
            claimed_until = NOW(3) + INTERVAL LEAST(30, POW(2, LEAST(attempts, 5))) * 100000 MICROSECOND
      WHERE claim = ?`,
    [claim],
  );
}
