/** The tables of the kitchen: kitchens with their capacity, and tickets. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  KitchenSchema,
  TicketSchema,
  TicketState,
  type Kitchen,
  type Ticket,
  type TicketLine,
} from "../../gen/ts/shop/kitchen/v1/kitchen_pb.ts";
import type { Queryable, Tx } from "../../mesh/sql/database.ts";

/** Name of a ticket's state, as in the .proto without prefix. */
export type StateName = Exclude<keyof typeof TicketState, "UNSPECIFIED">;

/** What deciding about a ticket needs. */
export interface TicketHead {
  readonly kitchenId: string;
  readonly state: StateName;
  /** The saga that is changing it; undefined if none is. */
  readonly lockSagaId: string | undefined;
}

/** One kitchen; undefined if there is none. In a transaction that will change it, lock it. */
export async function getKitchen(
  db: Queryable,
  kitchenId: string,
  lock: "" | "FOR UPDATE" = "",
): Promise<Kitchen | undefined> {
  const [row] = await db.query<KitchenRow>(
    `SELECT kitchen_id, open, capacity, active_tickets FROM kitchens WHERE kitchen_id = ? ${lock}`,
    [kitchenId],
  );
  return row && kitchen(row);
}

/** Writes whether a kitchen is open, and its capacity. */
export async function updateKitchen(tx: Tx, { kitchenId, open, capacity }: Kitchen): Promise<void> {
  await tx.execute("UPDATE kitchens SET open = ?, capacity = ? WHERE kitchen_id = ?", [
    open,
    capacity,
    kitchenId,
  ]);
}

/** Adds a ticket in CREATE_PENDING, and takes a place. The caller has locked the kitchen and seen that there is one. */
export async function insertTicket(
  tx: Tx,
  ticketId: string,
  kitchenId: string,
  sagaId: string,
  lines: readonly Pick<TicketLine, "sku" | "quantity">[],
): Promise<void> {
  await tx.execute(
    "INSERT INTO tickets (ticket_id, kitchen_id, state, lock_saga_id) VALUES (?, ?, 'CREATE_PENDING', ?)",
    [ticketId, kitchenId, sagaId],
  );
  for (const [index, { sku, quantity }] of lines.entries()) {
    await tx.execute("INSERT INTO ticket_lines (ticket_id, line_number, sku, quantity) VALUES (?, ?, ?, ?)", [
      ticketId,
      index + 1,
      sku,
      quantity,
    ]);
  }
  await tx.execute("UPDATE kitchens SET active_tickets = active_tickets + 1 WHERE kitchen_id = ?", [
    kitchenId,
  ]);
}

/** State and lock of a ticket, locked in this transaction; undefined if there is none. */
export async function lockTicket(tx: Tx, ticketId: string): Promise<TicketHead | undefined> {
  const [row] = await tx.query<{ kitchen_id: string; state: StateName; lock_saga_id: string | null }>(
    "SELECT kitchen_id, state, lock_saga_id FROM tickets WHERE ticket_id = ? FOR UPDATE",
    [ticketId],
  );
  return row && { kitchenId: row.kitchen_id, state: row.state, lockSagaId: row.lock_saga_id ?? undefined };
}

/** Writes the state of a ticket, without any lock; in a final state its place is free again. */
export async function setState(
  tx: Tx,
  ticketId: string,
  { kitchenId }: TicketHead,
  state: StateName,
): Promise<void> {
  await tx.execute(
    "UPDATE tickets SET state = ?, previous_state = NULL, lock_saga_id = NULL WHERE ticket_id = ?",
    [state, ticketId],
  );
  if (!FINAL.has(state)) return;
  await tx.execute("UPDATE kitchens SET active_tickets = active_tickets - 1 WHERE kitchen_id = ?", [
    kitchenId,
  ]);
}

/** Locks a ticket for its cancellation by a saga. */
export async function beginCancel(tx: Tx, ticketId: string, sagaId: string): Promise<void> {
  // Assignments run from left to right: the state is kept before it changes.
  await tx.execute(
    "UPDATE tickets SET previous_state = state, state = 'CANCEL_PENDING', lock_saga_id = ? WHERE ticket_id = ?",
    [sagaId, ticketId],
  );
}

/** Puts a ticket back into the state it had before a saga began to cancel it. False if that saga does not hold it. */
export async function undoCancel(tx: Tx, ticketId: string, sagaId: string): Promise<boolean> {
  const { affectedRows } = await tx.execute(
    `UPDATE tickets SET state = previous_state, previous_state = NULL, lock_saga_id = NULL
      WHERE ticket_id = ? AND lock_saga_id = ? AND state = 'CANCEL_PENDING'`,
    [ticketId, sagaId],
  );
  return affectedRows > 0;
}

/** One ticket with its lines; undefined if there is none. */
export async function getTicket(db: Queryable, ticketId: string): Promise<Ticket | undefined> {
  const rows = await db.query<TicketRow>(
    `SELECT t.kitchen_id, t.state, UNIX_TIMESTAMP(t.create_time) * 1000 AS create_ms, l.sku, l.quantity
       FROM tickets t JOIN ticket_lines l USING (ticket_id) WHERE ticket_id = ? ORDER BY l.line_number`,
    [ticketId],
  );
  const [head] = rows;
  if (head === undefined) return undefined;
  return create(TicketSchema, {
    ticketId,
    kitchenId: head.kitchen_id,
    state: TicketState[head.state],
    createTime: timestampFromMs(Number(head.create_ms)),
    lines: rows.map(({ sku, quantity }) => ({ sku, quantity })),
  });
}

const FINAL: ReadonlySet<StateName> = new Set<StateName>(["CREATE_REJECTED", "READY", "CANCELLED"]);

interface KitchenRow {
  readonly kitchen_id: string;
  readonly open: number;
  readonly capacity: number;
  readonly active_tickets: number;
}

interface TicketRow {
  readonly kitchen_id: string;
  readonly state: StateName;
  readonly create_ms: number | string;
  readonly sku: string;
  readonly quantity: number;
}

function kitchen(row: KitchenRow): Kitchen {
  return create(KitchenSchema, {
    kitchenId: row.kitchen_id,
    open: Boolean(row.open),
    capacity: row.capacity,
    activeTickets: row.active_tickets,
  });
}
