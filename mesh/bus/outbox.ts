/**
 * Messages that are sent if, and only if, the transaction they were written in is committed. The relay publishes them
 * afterwards, at least once, and in order for each aggregate.
 */
import type { Tx } from "../sql/database.ts";

/** A message to be published. */
export interface NewMessage {
  /** What it is about, such as `shop.order.v1.OrderCreated`; at most 128 characters. */
  readonly topic: string;
  /**
   * What it belongs to, such as the order's id; at most 128 characters. Messages of one aggregate are published in the
   * order in which they were written, provided that whoever writes one has locked the aggregate's row.
   */
  readonly aggregateId: string;
  readonly payload: Uint8Array;
}

/** A message as the relay publishes it. */
export interface OutboxMessage extends NewMessage {
  /** Rises with the order of writing. */
  readonly id: string;
  /** How often it was tried before. */
  readonly attempts: number;
}

/** Writes a message along with what it tells of. */
export async function enqueue(tx: Tx, { topic, aggregateId, payload }: NewMessage): Promise<void> {
  await tx.execute("INSERT INTO outbox (topic, aggregate_id, payload) VALUES (?, ?, ?)", [
    topic,
    aggregateId,
    payload,
  ]);
}
