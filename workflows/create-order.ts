/**
 * An order that exists in APPROVAL_PENDING ends APPROVED, with the card held, the stock sold and a ticket in the kitchen; or
 * REJECTED with a reason, and none of that.
 */
import type { OrderJson } from "./order.ts";
import { call, saga } from "./runtime.ts";

/** How the saga ended. */
export type CreateOrderResult =
  { readonly state: "APPROVED" } | { readonly state: "REJECTED"; readonly reason: string };

/** The workflow `create-order/{order_id}`. */
export async function createOrder(order: OrderJson): Promise<CreateOrderResult> {
  const rejection = await saga(async ({ begun, check, step, pivot, forward }) => {
    begun({
      name: "place-order",
      compensate: (branch, why) =>
        call(`Reject the order: ${why.reason}`).rejectOrder(branch, order, why.reason),
    });
    await check({
      name: "verify-consumer",
      invoke: (branch) => call("May this consumer order that much?").verifyConsumer(branch, order),
    });
    await step({
      name: "reserve-stock",
      invoke: (branch) => call("Reserve the stock").reserveStock(branch, order),
      compensate: (branch) => call("Undo: release the stock").releaseStock(branch, order),
    });
    await step({
      name: "create-ticket",
      invoke: (branch) => call("Take a place in the kitchen").createTicket(branch, order),
      compensate: (branch) => call("Undo: reject the ticket").rejectTicket(branch, order),
    });
    await pivot({
      name: "authorize-card",
      invoke: (branch) => call("Hold the total on the card (pivot)").authorizeCard(branch, order),
      compensate: (branch) => call("Undo: drop the hold").reverseAuthorization(branch, order),
    });
    await forward({
      name: "confirm-ticket",
      invoke: (branch) => call("Hand the ticket to the kitchen").confirmTicket(branch, order),
    });
    await forward({
      name: "commit-stock",
      invoke: (branch) => call("The stock is sold").commitStock(branch, order),
    });
    await forward({
      name: "approve-order",
      invoke: (branch) => call("Approve the order").approveOrder(branch, order),
    });
  });
  return rejection === undefined ? { state: "APPROVED" } : { state: "REJECTED", reason: rejection.reason };
}
