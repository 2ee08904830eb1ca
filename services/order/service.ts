/** The public API of orders. */
import type { Client, ServiceImpl } from "@connectrpc/connect";
import { ulid } from "ulid";
import type { InventoryService } from "../../gen/ts/shop/inventory/v1/inventory_service_pb.ts";
import { OrderSchema, type Order } from "../../gen/ts/shop/order/v1/order_pb.ts";
import {
  CreateOrderResponseSchema,
  type CreateOrderRequest,
  type OrderService,
} from "../../gen/ts/shop/order/v1/order_service_pb.ts";
import { cutPage, pageCursor, pageSize } from "../../mesh/pages.ts";
import { notFound, wrongState } from "../../mesh/resources.ts";
import { idempotent, IDEMPOTENCY_KEY_HEADER } from "../../mesh/saga/idempotency.ts";
import { callerConsistency } from "../../mesh/sql/caller.ts";
import type { Database, Tx } from "../../mesh/sql/database.ts";
import type { Changes } from "./changes.ts";
import { priceLines, type PricedLine } from "./pricing.ts";
import { requestSaga, sagaId } from "./sagas.ts";
import { changeState, getOrder, insertOrder, listOrders, lockOrder, type OrderHead } from "./store.ts";
import { watchOrder } from "./watch.ts";

/** What it needs. */
export interface OrderServiceOptions {
  readonly db: Database;
  readonly inventory: Pick<Client<typeof InventoryService>, "batchGetProducts">;
  readonly changes: Changes;
  /** Told, after the commit, that a saga waits to be started. */
  readonly wake: () => void;
}

const DEFAULT_KITCHEN = "main";

/** A saga takes about this long. */
const PENDING_RETRY_MS = 500;

/** Makes the service. */
export function createOrderService({
  db,
  inventory,
  changes,
  wake,
}: OrderServiceOptions): ServiceImpl<typeof OrderService> {
  return {
    async createOrder(request, { requestHeader }) {
      const { products } = await inventory.batchGetProducts({ skus: request.lines.map(({ sku }) => sku) });
      const priced = priceLines(request.lines, products);
      const call = {
        scope: "shop.order.v1.OrderService/CreateOrder",
        key: requestHeader.get(IDEMPOTENCY_KEY_HEADER),
        request,
        response: CreateOrderResponseSchema,
      };
      const response = await idempotent(db, call, async (tx) => ({
        order: await place(tx, request, priced),
      }));
      wake();
      return response;
    },

    async getOrder({ orderId }) {
      const order = await db.read((q) => getOrder(q, orderId), { consistency: callerConsistency(db) });
      if (order === undefined) throw noOrder(orderId);
      return { order };
    },

    async listOrders({ consumerId, pageSize: wanted, pageToken }) {
      const list = ["orders", consumerId];
      const size = pageSize(wanted);
      const filter = { consumerId, beforeOrderId: pageCursor(pageToken, list), limit: size + 1 };
      const found = await db.read((q) => listOrders(q, filter), { consistency: callerConsistency(db) });
      const { rows, nextPageToken } = cutPage(found, size, list, ({ orderId }) => orderId);
      return { orders: [...rows], nextPageToken };
    },

    async cancelOrder({ orderId }) {
      const order = await db.write((tx) => cancel(tx, orderId), { canRerun: true });
      changes.notify(orderId);
      wake();
      return { order };
    },

    watchOrder: (request, { signal }) => watchOrder(db, changes, request, signal),
  };
}

/** Writes a new order, and that its saga is to run. */
async function place(
  tx: Tx,
  { consumerId, kitchenId }: CreateOrderRequest,
  { lines, totalCents }: { readonly lines: readonly PricedLine[]; readonly totalCents: bigint },
): Promise<Order> {
  const orderId = ulid();
  const saga = sagaId("create-order", { orderId, sequence: 1 });
  await insertOrder(
    tx,
    { orderId, consumerId, kitchenId: kitchenId || DEFAULT_KITCHEN, lines, totalCents },
    saga,
  );
  const order = (await getOrder(tx, orderId))!;
  await requestSaga(tx, "create-order", order);
  return order;
}

/** Has an approved order cancelled. One that is being cancelled, or is, stays as it is. */
async function cancel(tx: Tx, orderId: string): Promise<Order> {
  const head = await lockOrder(tx, orderId);
  if (head === undefined) throw noOrder(orderId);
  if (head.state === "CANCEL_PENDING" || head.state === "CANCELLED") return (await getOrder(tx, orderId))!;
  if (head.state !== "APPROVED") throw notCancellable(orderId, head);
  const lockSagaId = sagaId("cancel-order", { orderId, sequence: head.sequence + 1 });
  await changeState(tx, orderId, head, { state: "CANCEL_PENDING", lockSagaId });
  const order = (await getOrder(tx, orderId))!;
  await requestSaga(tx, "cancel-order", order);
  return order;
}

function noOrder(orderId: string) {
  return notFound({ type: OrderSchema.typeName, name: orderId });
}

function notCancellable(orderId: string, { state }: OrderHead) {
  const pending = state === "APPROVAL_PENDING";
  return wrongState(
    { type: OrderSchema.typeName, name: orderId },
    pending ? "is not approved yet; cancel it once it is" : `is ${state}: there is nothing to cancel`,
    { metadata: { state }, ...(pending && { retryAfterMs: PENDING_RETRY_MS }) },
  );
}
