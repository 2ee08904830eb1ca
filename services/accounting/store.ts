/** The tables of accounting: accounts, what orders hold and have paid, and the ledger of every movement. */
import { create } from "@bufbuild/protobuf";
import { AccountSchema, type Account } from "../../gen/ts/shop/accounting/v1/accounting_pb.ts";
import type { Queryable, Tx } from "../../mesh/sql/database.ts";

/** How far the money of an order is. */
export type AuthorizationState = "HELD" | "REVERSED" | "CAPTURED" | "REFUNDED";

/** The money of an order. */
export interface Authorization {
  readonly accountId: string;
  readonly amountCents: bigint;
  readonly state: AuthorizationState;
}

/** Opens an account. Throws the duplicate key error of MySQL if there is one. */
export async function insertAccount(tx: Tx, accountId: string): Promise<void> {
  await tx.execute("INSERT INTO accounts (account_id) VALUES (?)", [accountId]);
}

/** One account; undefined if there is none. In a transaction that will change it, lock it. */
export async function getAccount(
  db: Queryable,
  accountId: string,
  lock: "" | "FOR UPDATE" = "",
): Promise<Account | undefined> {
  const [row] = await db.query<AccountRow>(
    `SELECT account_id, balance_cents, held_cents, captured_cents, deposited_cents, disabled
       FROM accounts WHERE account_id = ? ${lock}`,
    [accountId],
  );
  return row && account(row);
}

/** Enables or disables an account. */
export async function setDisabled(tx: Tx, accountId: string, disabled: boolean): Promise<void> {
  await tx.execute("UPDATE accounts SET disabled = ? WHERE account_id = ?", [disabled, accountId]);
}

/** Pays money in. */
export async function deposit(tx: Tx, accountId: string, amountCents: bigint): Promise<void> {
  await tx.execute(
    "UPDATE accounts SET balance_cents = balance_cents + ?, deposited_cents = deposited_cents + ? WHERE account_id = ?",
    [String(amountCents), String(amountCents), accountId],
  );
  await record(tx, accountId, undefined, "DEPOSIT", amountCents);
}

/** Holds money for an order. The caller has locked the account and seen that it suffices. */
export async function hold(tx: Tx, orderId: string, accountId: string, amountCents: bigint): Promise<void> {
  await tx.execute(
    "INSERT INTO authorizations (order_id, account_id, amount_cents, state) VALUES (?, ?, ?, 'HELD')",
    [orderId, accountId, String(amountCents)],
  );
  await moveMoney(tx, accountId, amountCents, "balance_cents", "held_cents");
  await record(tx, accountId, orderId, "HOLD", amountCents);
}

/** What an order holds or has paid, locked; undefined if it never held anything. */
export async function lockAuthorization(tx: Tx, orderId: string): Promise<Authorization | undefined> {
  const [row] = await tx.query<{
    account_id: string;
    amount_cents: number | string;
    state: AuthorizationState;
  }>("SELECT account_id, amount_cents, state FROM authorizations WHERE order_id = ? FOR UPDATE", [orderId]);
  return row && { accountId: row.account_id, amountCents: BigInt(row.amount_cents), state: row.state };
}

/** Moves the money of an order on, from the state that `authorization` is in. */
export async function settle(
  tx: Tx,
  orderId: string,
  { accountId, amountCents, state }: Authorization,
  to: "REVERSED" | "CAPTURED" | "REFUNDED",
): Promise<void> {
  await tx.execute("UPDATE authorizations SET state = ? WHERE order_id = ?", [to, orderId]);
  await moveMoney(tx, accountId, amountCents, column[state], column[to]);
  await record(tx, accountId, orderId, entryOf[to], amountCents);
}

/** Where money in a state is counted. */
const column = {
  HELD: "held_cents",
  CAPTURED: "captured_cents",
  REVERSED: "balance_cents",
  REFUNDED: "balance_cents",
} as const satisfies Record<AuthorizationState, string>;

type EntryKind = "DEPOSIT" | "HOLD" | "REVERSE" | "CAPTURE" | "REFUND";

const entryOf = { REVERSED: "REVERSE", CAPTURED: "CAPTURE", REFUNDED: "REFUND" } as const;

async function moveMoney(
  tx: Tx,
  accountId: string,
  amountCents: bigint,
  from: string,
  to: string,
): Promise<void> {
  const amount = String(amountCents);
  await tx.execute(`UPDATE accounts SET ${from} = ${from} - ?, ${to} = ${to} + ? WHERE account_id = ?`, [
    amount,
    amount,
    accountId,
  ]);
}

async function record(
  tx: Tx,
  accountId: string,
  orderId: string | undefined,
  kind: EntryKind,
  amountCents: bigint,
): Promise<void> {
  await tx.execute("INSERT INTO ledger (account_id, order_id, kind, amount_cents) VALUES (?, ?, ?, ?)", [
    accountId,
    orderId ?? null,
    kind,
    String(amountCents),
  ]);
}

interface AccountRow {
  readonly account_id: string;
  readonly balance_cents: number | string;
  readonly held_cents: number | string;
  readonly captured_cents: number | string;
  readonly deposited_cents: number | string;
  readonly disabled: number;
}

function account(row: AccountRow): Account {
  return create(AccountSchema, {
    accountId: row.account_id,
    balanceCents: BigInt(row.balance_cents),
    heldCents: BigInt(row.held_cents),
    capturedCents: BigInt(row.captured_cents),
    depositedCents: BigInt(row.deposited_cents),
    disabled: Boolean(row.disabled),
  });
}
