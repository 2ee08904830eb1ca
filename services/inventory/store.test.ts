import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { StockLineSchema } from "../../gen/ts/shop/inventory/v1/inventory_pb.ts";
import { mergeLines } from "./store.ts";

test("lines of the same product become one, in order of SKU, so that locks are taken in one order", () => {
  const lines = [
    ["cola", 1],
    ["apple", 2],
    ["cola", 3],
  ] as const;
  const merged = mergeLines(lines.map(([sku, quantity]) => create(StockLineSchema, { sku, quantity })));
  expect(merged).toEqual([
    { sku: "apple", quantity: 2 },
    { sku: "cola", quantity: 4 },
  ]);
});
