/** The table of consumers. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ConsumerSchema, type Consumer } from "../../gen/ts/shop/consumer/v1/consumer_pb.ts";
import type { Queryable, Tx } from "../../mesh/sql/database.ts";

/** Adds a consumer. Throws the duplicate key error of MySQL if the id is taken. */
export async function insertConsumer(
  tx: Tx,
  { consumerId, name, orderLimitCents }: Pick<Consumer, "consumerId" | "name" | "orderLimitCents">,
): Promise<void> {
  await tx.execute("INSERT INTO consumers (consumer_id, name, order_limit_cents) VALUES (?, ?, ?)", [
    consumerId,
    name,
    String(orderLimitCents),
  ]);
}

/** One consumer; undefined if there is none. */
export async function getConsumer(db: Queryable, consumerId: string): Promise<Consumer | undefined> {
  const [row] = await db.query<ConsumerRow>(
    `SELECT consumer_id, name, order_limit_cents, UNIX_TIMESTAMP(create_time) * 1000 AS create_ms
       FROM consumers WHERE consumer_id = ?`,
    [consumerId],
  );
  if (row === undefined) return undefined;
  return create(ConsumerSchema, {
    consumerId: row.consumer_id,
    name: row.name,
    orderLimitCents: BigInt(row.order_limit_cents),
    createTime: timestampFromMs(Number(row.create_ms)),
  });
}

interface ConsumerRow {
  readonly consumer_id: string;
  readonly name: string;
  readonly order_limit_cents: number | string;
  readonly create_ms: number | string;
}
