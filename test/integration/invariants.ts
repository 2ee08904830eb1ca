/**
 * What always holds in the shop, as SQL alone: each query finds the rows that break a rule. The account needs to see all five
 * schemas, so it is root, over the socket of a member.
 *
 * `always` holds at any moment, as one statement sees one snapshot of all schemas. `settled` holds once no saga runs.
 */
import { createConnection } from "mysql2/promise";

/** A rule. */
export interface Invariant {
  readonly name: string;
  readonly when: "always" | "settled";
  /** Finds rows that break it. */
  readonly sql: string;
}

/** A row that breaks a rule. */
export interface Violation {
  readonly invariant: string;
  readonly row: unknown;
}

/** Checks the rules over the socket of a member. Settled ones too, unless told that sagas still run. */
export async function violations(
  socketPath: string,
  when: "settled" | "running" = "settled",
): Promise<Violation[]> {
  const connection = await createConnection({ socketPath, user: "root" });
  try {
    const found: Violation[] = [];
    for (const { name, sql } of invariants.filter((each) => each.when === "always" || when === "settled")) {
      const [rows] = await connection.query(sql);
      found.push(...(rows as unknown[]).map((row) => ({ invariant: name, row })));
    }
    return found;
  } finally {
    await connection.end();
  }
}

/** Sums a column of rows in some states; 0 if there are none. */
const sumOf = (column: string, table: string, where: string) =>
  `(SELECT COALESCE(SUM(${column}), 0) FROM ${table} WHERE ${where})`;

/** All rules. */
export const invariants: readonly Invariant[] = [
  {
    name: "per product, on_hand + reserved + sold = initial + restocked",
    when: "always",
    sql: "SELECT * FROM inventory.products WHERE on_hand + reserved + sold <> initial + restocked",
  },
  {
    name: "what is counted as reserved and sold is what orders have",
    when: "always",
    sql: `SELECT * FROM inventory.products p
           WHERE reserved <> ${sumOf("quantity", "inventory.reservations r", "r.sku = p.sku AND r.state = 'RESERVED'")}
              OR sold <> ${sumOf("quantity", "inventory.reservations r", "r.sku = p.sku AND r.state = 'SOLD'")}`,
  },
  {
    name: "per account, balance + held + captured = deposited",
    when: "always",
    sql: "SELECT * FROM accounting.accounts WHERE balance_cents + held_cents + captured_cents <> deposited_cents",
  },
  {
    name: "what an account holds and has captured is what orders have",
    when: "always",
    sql: `SELECT * FROM accounting.accounts a
           WHERE held_cents <> ${sumOf("amount_cents", "accounting.authorizations o", "o.account_id = a.account_id AND o.state = 'HELD'")}
              OR captured_cents <> ${sumOf("amount_cents", "accounting.authorizations o", "o.account_id = a.account_id AND o.state = 'CAPTURED'")}`,
  },
  {
    name: "the columns of an account are the sums of its ledger",
    when: "always",
    sql: `SELECT a.* FROM accounting.accounts a
            LEFT JOIN (SELECT account_id,
                   SUM(IF(kind = 'DEPOSIT', amount_cents, 0)) AS deposits,
                   SUM(CASE kind WHEN 'HOLD' THEN amount_cents WHEN 'REVERSE' THEN -amount_cents
                                 WHEN 'CAPTURE' THEN -amount_cents ELSE 0 END) AS held,
                   SUM(CASE kind WHEN 'CAPTURE' THEN amount_cents WHEN 'REFUND' THEN -amount_cents ELSE 0 END) AS captured
              FROM accounting.ledger GROUP BY account_id) l USING (account_id)
           WHERE a.deposited_cents <> COALESCE(l.deposits, 0) OR a.held_cents <> COALESCE(l.held, 0)
              OR a.captured_cents <> COALESCE(l.captured, 0)`,
  },
  {
    name: "a kitchen's active tickets are those that are not final",
    when: "always",
    sql: `SELECT * FROM kitchen.kitchens k WHERE active_tickets <>
            (SELECT COUNT(*) FROM kitchen.tickets t WHERE t.kitchen_id = k.kitchen_id
                AND t.state NOT IN ('CREATE_REJECTED', 'READY', 'CANCELLED'))`,
  },
  {
    name: "no money is held without a live order",
    when: "always",
    sql: `SELECT a.*, o.state AS order_state FROM accounting.authorizations a LEFT JOIN \`order\`.orders o USING (order_id)
           WHERE a.state IN ('HELD', 'CAPTURED') AND (o.state IS NULL OR o.state IN ('REJECTED', 'CANCELLED'))`,
  },
  {
    name: "no stock is taken without a live order",
    when: "always",
    sql: `SELECT r.*, o.state AS order_state FROM inventory.reservations r LEFT JOIN \`order\`.orders o USING (order_id)
           WHERE (r.state = 'RESERVED' AND (o.state IS NULL OR o.state <> 'APPROVAL_PENDING'))
              OR (r.state = 'SOLD' AND (o.state IS NULL OR o.state IN ('REJECTED', 'CANCELLED')))`,
  },
  {
    name: "an approved order is paid for, in full and once",
    when: "always",
    sql: `SELECT o.*, a.state AS authorization_state, a.amount_cents
            FROM \`order\`.orders o LEFT JOIN accounting.authorizations a USING (order_id)
           WHERE o.state = 'APPROVED' AND (a.state IS NULL OR a.state NOT IN ('HELD', 'CAPTURED')
              OR a.amount_cents <> o.total_cents OR a.account_id <> o.consumer_id)`,
  },
  {
    name: "an approved order has bought exactly its lines",
    when: "always",
    sql: `SELECT o.order_id, l.sku, l.quantity, r.quantity AS sold, r.state
            FROM \`order\`.orders o JOIN \`order\`.order_lines l USING (order_id)
            LEFT JOIN inventory.reservations r ON r.order_id = l.order_id AND r.sku = l.sku
           WHERE o.state = 'APPROVED' AND (r.state IS NULL OR r.state <> 'SOLD' OR r.quantity <> l.quantity)`,
  },
  {
    name: "ticket state fits order state",
    when: "always",
    sql: `SELECT o.order_id, o.state AS order_state, t.state AS ticket_state
            FROM \`order\`.orders o LEFT JOIN kitchen.tickets t ON t.ticket_id = o.order_id
           WHERE NOT CASE o.state
             WHEN 'APPROVAL_PENDING' THEN COALESCE(t.state, 'CREATE_PENDING') NOT IN ('CANCEL_PENDING', 'CANCELLED')
             WHEN 'APPROVED' THEN COALESCE(t.state, '') IN ('AWAITING_ACCEPTANCE', 'ACCEPTED', 'PREPARING', 'READY')
             WHEN 'REJECTED' THEN COALESCE(t.state, 'CREATE_REJECTED') = 'CREATE_REJECTED'
             WHEN 'CANCEL_PENDING' THEN COALESCE(t.state, '') NOT IN ('', 'CREATE_PENDING', 'CREATE_REJECTED')
             WHEN 'CANCELLED' THEN COALESCE(t.state, '') = 'CANCELLED'
           END`,
  },
  {
    name: "a ticket belongs to an order",
    when: "always",
    sql: `SELECT t.* FROM kitchen.tickets t LEFT JOIN \`order\`.orders o ON o.order_id = t.ticket_id WHERE o.state IS NULL`,
  },
  {
    name: "only what a saga is changing is locked",
    when: "always",
    sql: `SELECT order_id AS id, state, lock_saga_id FROM \`order\`.orders
           WHERE (lock_saga_id IS NOT NULL) <> (state IN ('APPROVAL_PENDING', 'CANCEL_PENDING'))
           UNION ALL
          SELECT ticket_id, state, lock_saga_id FROM kitchen.tickets
           WHERE (lock_saga_id IS NOT NULL) <> (state IN ('CREATE_PENDING', 'CANCEL_PENDING'))`,
  },
  {
    name: "an order's transitions have no gaps and end in its state",
    when: "always",
    sql: `SELECT o.order_id, o.state, o.sequence, t.count, t.last, e.state AS last_state
            FROM \`order\`.orders o
            LEFT JOIN (SELECT order_id, COUNT(*) AS count, MAX(sequence) AS last FROM \`order\`.order_transitions
                        GROUP BY order_id) t USING (order_id)
            LEFT JOIN \`order\`.order_transitions e ON e.order_id = o.order_id AND e.sequence = o.sequence
           WHERE COALESCE(t.count, 0) <> o.sequence OR t.last <> o.sequence
              OR e.state <> o.state OR e.reason <> o.reason`,
  },
  {
    name: "an order's total is the sum of its lines",
    when: "always",
    sql: `SELECT * FROM \`order\`.orders o WHERE total_cents <>
            ${sumOf("quantity * price_cents", "`order`.order_lines l", "l.order_id = o.order_id")}`,
  },
  {
    name: "no saga is left",
    when: "settled",
    sql: "SELECT order_id, state FROM `order`.orders WHERE state IN ('APPROVAL_PENDING', 'CANCEL_PENDING')",
  },
  {
    name: "no saga waits to be started",
    when: "settled",
    sql: "SELECT id, topic, aggregate_id FROM `order`.outbox",
  },
  {
    name: "nothing is held on the way",
    when: "settled",
    sql: `SELECT order_id, state FROM inventory.reservations WHERE state = 'RESERVED'
           UNION ALL SELECT ticket_id, state FROM kitchen.tickets WHERE state IN ('CREATE_PENDING', 'CANCEL_PENDING')`,
  },
];
