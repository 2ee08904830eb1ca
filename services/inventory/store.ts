/** The tables of inventory: products with their stock, and what each order has taken of it. */
import { create } from "@bufbuild/protobuf";
import { ProductSchema, type Product, type StockLine } from "../../gen/ts/shop/inventory/v1/inventory_pb.ts";
import type { Queryable, Tx } from "../../mesh/sql/database.ts";

/** How far the stock of an order is: held, given back before it was sold, sold, or come back afterwards. */
export type ReservationState = "RESERVED" | "RELEASED" | "SOLD" | "RETURNED";

/** All stock of a product, in whatever state, fits the int32 of the API. */
export const MAX_STOCK = 2 ** 31 - 1;

/** What a line would take, and what is there. */
export interface Shortage {
  readonly sku: string;
  readonly wanted: number;
  /** Undefined: there is no such product. */
  readonly onHand: number | undefined;
}

/** `limit` products in order of SKU, after a cursor. */
export async function listProducts(
  db: Queryable,
  afterSku: string | undefined,
  limit: number,
): Promise<Product[]> {
  const rows = await db.query<ProductRow>(
    `SELECT ${COLUMNS} FROM products WHERE sku > ? ORDER BY sku LIMIT ${limit}`,
    [afterSku ?? ""],
  );
  return rows.map(product);
}

/** Those of the products that exist, in order of SKU. */
export async function getProducts(db: Queryable, skus: readonly string[]): Promise<Product[]> {
  const rows = await db.query<ProductRow>(
    `SELECT ${COLUMNS} FROM products WHERE sku IN (${skus.map(() => "?").join(", ")}) ORDER BY sku`,
    skus,
  );
  return rows.map(product);
}

/** Adds to the stock of a product. False if there is none, or if all of its stock would exceed MAX_STOCK. */
export async function restockProduct(tx: Tx, sku: string, quantity: number): Promise<boolean> {
  const { affectedRows } = await tx.execute(
    `UPDATE products SET on_hand = on_hand + ?, restocked = restocked + ?
      WHERE sku = ? AND initial + restocked + ? <= ${MAX_STOCK}`,
    [quantity, quantity, sku, quantity],
  );
  return affectedRows > 0;
}

/**
 * Holds stock for an order: all lines or none. Resolves with the first line that cannot be held; the caller must then
 * roll back.
 */
export async function reserveStock(
  tx: Tx,
  orderId: string,
  lines: readonly StockLine[],
): Promise<Shortage | undefined> {
  // Rows are locked in order of SKU, here and in moveStock, so that two orders cannot wait for each other.
  for (const { sku, quantity } of mergeLines(lines)) {
    const { affectedRows } = await tx.execute(
      "UPDATE products SET on_hand = on_hand - ?, reserved = reserved + ? WHERE sku = ? AND on_hand >= ?",
      [quantity, quantity, sku, quantity],
    );
    if (affectedRows === 0) {
      const [left] = await getProducts(tx, [sku]);
      return { sku, wanted: quantity, onHand: left?.onHand };
    }
    await tx.execute(
      "INSERT INTO reservations (order_id, sku, quantity, state) VALUES (?, ?, ?, 'RESERVED')",
      [orderId, sku, quantity],
    );
  }
  return undefined;
}

/** Moves all stock of an order on. False if nothing of it is in state `from`. */
export async function moveStock(
  tx: Tx,
  orderId: string,
  from: "RESERVED" | "SOLD",
  to: ReservationState,
): Promise<boolean> {
  const lines = await tx.query<{ sku: string; quantity: number }>(
    "SELECT sku, quantity FROM reservations WHERE order_id = ? AND state = ? ORDER BY sku FOR UPDATE",
    [orderId, from],
  );
  for (const { sku, quantity } of lines) {
    await tx.execute(
      `UPDATE products SET ${column[from]} = ${column[from]} - ?, ${column[to]} = ${column[to]} + ? WHERE sku = ?`,
      [quantity, quantity, sku],
    );
  }
  await tx.execute("UPDATE reservations SET state = ? WHERE order_id = ? AND state = ?", [to, orderId, from]);
  return lines.length > 0;
}

/** One line a SKU, in order of SKU. */
export function mergeLines(
  lines: readonly StockLine[],
): { readonly sku: string; readonly quantity: number }[] {
  const quantities = new Map<string, number>();
  for (const { sku, quantity } of lines) quantities.set(sku, (quantities.get(sku) ?? 0) + quantity);
  return [...quantities]
    .map(([sku, quantity]) => ({ sku, quantity }))
    .sort((a, b) => (a.sku < b.sku ? -1 : 1));
}

/** Where stock in a state is counted. */
const column: Readonly<Record<ReservationState, string>> = {
  RESERVED: "reserved",
  RELEASED: "on_hand",
  SOLD: "sold",
  RETURNED: "on_hand",
};

const COLUMNS = "sku, name, price_cents, on_hand, reserved, sold";

interface ProductRow {
  readonly sku: string;
  readonly name: string;
  readonly price_cents: number | string;
  readonly on_hand: number;
  readonly reserved: number;
  readonly sold: number;
}

function product(row: ProductRow): Product {
  return create(ProductSchema, {
    sku: row.sku,
    name: row.name,
    priceCents: BigInt(row.price_cents),
    onHand: row.on_hand,
    reserved: row.reserved,
    sold: row.sold,
  });
}
