/** The public API of inventory: products, and adding to their stock. */
import type { ServiceImpl } from "@connectrpc/connect";
import { ProductSchema } from "../../gen/ts/shop/inventory/v1/inventory_pb.ts";
import {
  RestockProductResponseSchema,
  type InventoryService,
} from "../../gen/ts/shop/inventory/v1/inventory_service_pb.ts";
import { invalidArgument } from "../../mesh/errors.ts";
import { cutPage, pageCursor, pageSize } from "../../mesh/pages.ts";
import { notFound } from "../../mesh/resources.ts";
import { idempotent, IDEMPOTENCY_KEY_HEADER } from "../../mesh/saga/idempotency.ts";
import { callerConsistency } from "../../mesh/sql/caller.ts";
import type { Database } from "../../mesh/sql/database.ts";
import { getProducts, listProducts, MAX_STOCK, restockProduct } from "./store.ts";

/** The list that page tokens belong to. */
const PRODUCTS = ["products"];

/** Makes the service. */
export function createInventoryService({
  db,
}: {
  readonly db: Database;
}): ServiceImpl<typeof InventoryService> {
  return {
    async listProducts(request) {
      const size = pageSize(request.pageSize);
      const after = pageCursor(request.pageToken, PRODUCTS);
      const found = await db.read((q) => listProducts(q, after, size + 1), {
        consistency: callerConsistency(db),
      });
      const { rows, nextPageToken } = cutPage(found, size, PRODUCTS, ({ sku }) => sku);
      return { products: [...rows], nextPageToken };
    },

    async getProduct({ sku }) {
      const [product] = await db.read((q) => getProducts(q, [sku]), { consistency: callerConsistency(db) });
      if (product === undefined) throw noProduct(sku);
      return { product };
    },

    async batchGetProducts({ skus }) {
      return { products: await db.read((q) => getProducts(q, skus), { consistency: callerConsistency(db) }) };
    },

    restockProduct(request, { requestHeader }) {
      const call = {
        scope: "shop.inventory.v1.InventoryService/RestockProduct",
        key: requestHeader.get(IDEMPOTENCY_KEY_HEADER),
        request,
        response: RestockProductResponseSchema,
      };
      return idempotent(db, call, async (tx) => {
        const { sku, quantity } = request;
        const done = await restockProduct(tx, sku, quantity);
        const [product] = await getProducts(tx, [sku]);
        if (product === undefined) throw noProduct(sku);
        if (!done) throw tooMuchStock();
        return { product };
      });
    },
  };
}

function noProduct(sku: string) {
  return notFound({ type: ProductSchema.typeName, name: sku });
}

function tooMuchStock() {
  return invalidArgument({
    field: "quantity",
    description: `all stock of a product must be at most ${MAX_STOCK}`,
  });
}
