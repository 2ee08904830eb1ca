/**
 * An order in CANCEL_PENDING ends CANCELLED, with the money back, the stock returned once and the ticket withdrawn; or
 * APPROVED as before, with the reason why it could not be cancelled.
 */
import type { OrderJson } from "./order.ts";
import { call, saga } from "./runtime.ts";

/** How the saga ended. */
export type CancelOrderResult =
  { readonly state: "CANCELLED" } | { readonly state: "APPROVED"; readonly reason: string };

/** The workflow `cancel-order/{order_id}/{sequence of CANCEL_PENDING}`. */
export async function cancelOrder(order: OrderJson): Promise<CancelOrderResult> {
  const refusal = await saga(async ({ begun, step, pivot, forward }) => {
    begun({
      name: "begin-cancel",
      compensate: (branch, why) =>
        call(`Keep the order: ${why.reason}`).undoCancelOrder(branch, order, why.reason),
    });
    await step({
      name: "cancel-ticket",
      invoke: (branch) => call("Is there still time? Stop the ticket").beginCancelTicket(branch, order),
      compensate: (branch) => call("Undo: the ticket goes on").undoCancelTicket(branch, order),
    });
    await pivot({
      name: "refund-payment",
      invoke: (branch) => call("Give the money back (pivot)").refundPayment(branch, order),
    });
    await forward({
      name: "confirm-cancel-ticket",
      invoke: (branch) => call("Withdraw the ticket").confirmCancelTicket(branch, order),
    });
    await forward({
      name: "return-stock",
      invoke: (branch) => call("Put the stock back").returnStock(branch, order),
    });
    await forward({
      name: "confirm-cancel-order",
      invoke: (branch) => call("The order is cancelled").confirmCancelOrder(branch, order),
    });
  });
  return refusal === undefined ? { state: "CANCELLED" } : { state: "APPROVED", reason: refusal.reason };
}
