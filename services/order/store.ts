/** The tables of orders: what was ordered, and every change of state. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  OrderSchema,
  OrderState,
  OrderTransitionSchema,
  type Order,
  type OrderLine,
  type OrderTransition,
} from "../../gen/ts/shop/order/v1/order_pb.ts";
import type { Queryable, Tx } from "../../mesh/sql/database.ts";

/** Name of an order's state, as in the .proto without prefix. */
export type StateName = Exclude<keyof typeof OrderState, "UNSPECIFIED">;

/** What deciding about an order needs. */
export interface OrderHead {
  readonly state: StateName;
  readonly sequence: number;
  /** The saga that is changing it; undefined if none is. */
  readonly lockSagaId: string | undefined;
}

/** What was ordered. */
export interface NewOrder extends Pick<Order, "orderId" | "consumerId" | "kitchenId" | "totalCents"> {
  readonly lines: readonly Pick<OrderLine, "sku" | "quantity" | "priceCents">[];
}

/** Which orders a list has. */
export interface OrderFilter {
  /** Empty: everybody's. */
  readonly consumerId: string;
  /** Only older ones than this. */
  readonly beforeOrderId: string | undefined;
  readonly limit: number;
}

/** Nothing happens to such an order any more. */
export function isFinal(state: StateName): boolean {
  return state === "REJECTED" || state === "CANCELLED";
}

/** Adds an order in APPROVAL_PENDING, held by the saga that is going to approve or reject it. */
export async function insertOrder(tx: Tx, order: NewOrder, sagaId: string): Promise<void> {
  await tx.execute(
    `INSERT INTO orders (order_id, consumer_id, kitchen_id, state, total_cents, sequence, lock_saga_id)
     VALUES (?, ?, ?, 'APPROVAL_PENDING', ?, 1, ?)`,
    [order.orderId, order.consumerId, order.kitchenId, String(order.totalCents), sagaId],
  );
  await tx.execute(
    `INSERT INTO order_lines (order_id, line_number, sku, quantity, price_cents)
     VALUES ${order.lines.map(() => "(?, ?, ?, ?, ?)").join(", ")}`,
    order.lines.flatMap(({ sku, quantity, priceCents }, index) => [
      order.orderId,
      index + 1,
      sku,
      quantity,
      String(priceCents),
    ]),
  );
  await tx.execute(
    "INSERT INTO order_transitions (order_id, sequence, state) VALUES (?, 1, 'APPROVAL_PENDING')",
    [order.orderId],
  );
}

/** State and lock of an order, locked in this transaction; undefined if there is none. */
export async function lockOrder(tx: Tx, orderId: string): Promise<OrderHead | undefined> {
  const [row] = await tx.query<HeadRow>(
    "SELECT state, sequence, lock_saga_id FROM orders WHERE order_id = ? FOR UPDATE",
    [orderId],
  );
  return row && head(row);
}

/** Changes the state of an order that this transaction has locked. */
export async function changeState(
  tx: Tx,
  orderId: string,
  { sequence }: OrderHead,
  to: { readonly state: StateName; readonly reason?: string; readonly lockSagaId?: string },
): Promise<void> {
  const reason = to.reason ?? "";
  await tx.execute(
    `UPDATE orders SET state = ?, reason = ?, sequence = ?, lock_saga_id = ?, update_time = CURRENT_TIMESTAMP(3)
      WHERE order_id = ?`,
    [to.state, reason, sequence + 1, to.lockSagaId ?? null, orderId],
  );
  await tx.execute("INSERT INTO order_transitions (order_id, sequence, state, reason) VALUES (?, ?, ?, ?)", [
    orderId,
    sequence + 1,
    to.state,
    reason,
  ]);
}

/** One order with its lines; undefined if there is none. */
export async function getOrder(db: Queryable, orderId: string): Promise<Order | undefined> {
  const rows = await db.query<OrderRow>(`SELECT ${COLUMNS} FROM orders WHERE order_id = ?`, [orderId]);
  return (await withLines(db, rows))[0];
}

/** Orders with their lines, newest first. */
export async function listOrders(
  db: Queryable,
  { consumerId, beforeOrderId, limit }: OrderFilter,
): Promise<Order[]> {
  const conditions = [
    ...(consumerId === "" ? [] : ["consumer_id = ?"]),
    ...(beforeOrderId === undefined ? [] : ["order_id < ?"]),
  ];
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
  const rows = await db.query<OrderRow>(
    `SELECT ${COLUMNS} FROM orders ${where} ORDER BY order_id DESC LIMIT ${limit}`,
    [...(consumerId === "" ? [] : [consumerId]), ...(beforeOrderId === undefined ? [] : [beforeOrderId])],
  );
  return withLines(db, rows);
}

/** Where an order stands; undefined if there is none. */
export async function getHead(db: Queryable, orderId: string): Promise<OrderHead | undefined> {
  const [row] = await db.query<HeadRow>(
    "SELECT state, sequence, lock_saga_id FROM orders WHERE order_id = ?",
    [orderId],
  );
  return row && head(row);
}

/** The changes of an order's state after one of them, in order. */
export async function transitionsAfter(
  db: Queryable,
  orderId: string,
  sequence: number,
): Promise<OrderTransition[]> {
  const rows = await db.query<TransitionRow>(
    `SELECT sequence, state, reason, UNIX_TIMESTAMP(time) * 1000 AS time_ms
       FROM order_transitions WHERE order_id = ? AND sequence > ? ORDER BY sequence`,
    [orderId, sequence],
  );
  return rows.map(({ sequence, state, reason, time_ms }) =>
    create(OrderTransitionSchema, {
      sequence,
      state: OrderState[state],
      reason,
      time: timestampFromMs(Number(time_ms)),
    }),
  );
}

/** The last sequence number of each of these orders. */
export async function sequencesOf(
  db: Queryable,
  orderIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await db.query<{ order_id: string; sequence: number }>(
    `SELECT order_id, sequence FROM orders WHERE order_id IN (${places(orderIds)})`,
    orderIds,
  );
  return new Map(rows.map(({ order_id, sequence }) => [order_id, sequence]));
}

async function withLines(db: Queryable, rows: readonly OrderRow[]): Promise<Order[]> {
  if (rows.length === 0) return [];
  const ids = rows.map(({ order_id }) => order_id);
  const lines = await db.query<LineRow>(
    `SELECT order_id, sku, quantity, price_cents FROM order_lines
      WHERE order_id IN (${places(ids)}) ORDER BY order_id, line_number`,
    ids,
  );
  const byOrder = Map.groupBy(lines, ({ order_id }) => order_id);
  return rows.map((row) => order(row, byOrder.get(row.order_id) ?? []));
}

function places(values: readonly unknown[]): string {
  return values.map(() => "?").join(", ");
}

const COLUMNS = `order_id, consumer_id, kitchen_id, state, reason, total_cents, sequence,
  UNIX_TIMESTAMP(create_time) * 1000 AS create_ms, UNIX_TIMESTAMP(update_time) * 1000 AS update_ms`;

interface OrderRow {
  readonly order_id: string;
  readonly consumer_id: string;
  readonly kitchen_id: string;
  readonly state: StateName;
  readonly reason: string;
  readonly total_cents: number | string;
  readonly sequence: number;
  readonly create_ms: number | string;
  readonly update_ms: number | string;
}

interface LineRow {
  readonly order_id: string;
  readonly sku: string;
  readonly quantity: number;
  readonly price_cents: number | string;
}

interface HeadRow {
  readonly state: StateName;
  readonly sequence: number;
  readonly lock_saga_id: string | null;
}

interface TransitionRow {
  readonly sequence: number;
  readonly state: StateName;
  readonly reason: string;
  readonly time_ms: number | string;
}

function head({ state, sequence, lock_saga_id }: HeadRow): OrderHead {
  return { state, sequence, lockSagaId: lock_saga_id ?? undefined };
}

function order(row: OrderRow, lines: readonly LineRow[]): Order {
  return create(OrderSchema, {
    orderId: row.order_id,
    consumerId: row.consumer_id,
    kitchenId: row.kitchen_id,
    state: OrderState[row.state],
    reason: row.reason,
    lines: lines.map(({ sku, quantity, price_cents }) => ({
      sku,
      quantity,
      priceCents: BigInt(price_cents),
    })),
    totalCents: BigInt(row.total_cents),
    createTime: timestampFromMs(Number(row.create_ms)),
    updateTime: timestampFromMs(Number(row.update_ms)),
    sequence: row.sequence,
  });
}
