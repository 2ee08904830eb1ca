/** What an order costs. Everything that is wrong with its lines is found at once, each with its place. */
import type { Product } from "../../gen/ts/shop/inventory/v1/inventory_pb.ts";
import { invalidArgument, type FieldViolation } from "../../mesh/errors.ts";

/** A line as it was asked for. */
export interface WantedLine {
  readonly sku: string;
  readonly quantity: number;
}

/** A line with the price of one. */
export interface PricedLine extends WantedLine {
  readonly priceCents: bigint;
}

/** An order may cost this much: ten million, in cents. Sums of many orders still fit every number on the way. */
export const MAX_TOTAL_CENTS = 1_000_000_000n;

/**
 * Prices the lines of an order.
 *
 * @throws INVALID_ARGUMENT for products that do not exist, that stand in two lines, and for a total above the maximum.
 */
export function priceLines(
  lines: readonly WantedLine[],
  products: readonly Pick<Product, "sku" | "priceCents">[],
): { readonly lines: PricedLine[]; readonly totalCents: bigint } {
  const prices = new Map(products.map(({ sku, priceCents }) => [sku, priceCents]));
  const priced = lines.map((line) => ({ ...line, priceCents: prices.get(line.sku) ?? 0n }));
  const totalCents = priced.reduce((sum, line) => sum + line.priceCents * BigInt(line.quantity), 0n);
  const [first, ...others] = [
    ...lines.flatMap((line, index) => wrongSku(line, index, lines, prices)),
    ...(totalCents > MAX_TOTAL_CENTS ? [tooExpensive(totalCents)] : []),
  ];
  if (first !== undefined) throw invalidArgument(first, ...others);
  return { lines: priced, totalCents };
}

function wrongSku(
  { sku }: WantedLine,
  index: number,
  lines: readonly WantedLine[],
  prices: ReadonlyMap<string, bigint>,
): FieldViolation[] {
  const field = `lines[${index}].sku`;
  if (!prices.has(sku)) return [{ field, description: `there is no product "${sku}"` }];
  const earlier = lines.findIndex((line) => line.sku === sku);
  if (earlier === index) return [];
  return [{ field, description: `"${sku}" stands in lines[${earlier}] already; add up their quantities` }];
}

function tooExpensive(totalCents: bigint): FieldViolation {
  return { field: "lines", description: `the total of ${totalCents} cents is above ${MAX_TOTAL_CENTS}` };
}
