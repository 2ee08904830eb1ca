/**
 * Every change of an order's state, in order and without gaps: those that have been, then those to come, until nothing can
 * happen any more. Who loses the stream goes on with `after_sequence`.
 */
import { Code } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { OrderSchema, type OrderTransition } from "../../gen/ts/shop/order/v1/order_pb.ts";
import type { WatchOrderRequest } from "../../gen/ts/shop/order/v1/order_service_pb.ts";
import { rpcError } from "../../mesh/errors.ts";
import { notFound } from "../../mesh/resources.ts";
import { servedCall } from "../../mesh/rpc/context.ts";
import type { Database } from "../../mesh/sql/database.ts";
import type { Changes } from "./changes.ts";
import { getHead, isFinal, transitionsAfter } from "./store.ts";

/** Serves WatchOrder. Ends when the order is final; throws when the caller is gone or the process stops. */
export async function* watchOrder(
  db: Pick<Database, "read">,
  changes: Pick<Changes, "after">,
  { orderId, afterSequence }: Pick<WatchOrderRequest, "orderId" | "afterSequence">,
  signal: AbortSignal,
): AsyncGenerator<{ transition: OrderTransition }> {
  const draining = servedCall()?.draining;
  const stop = draining === undefined ? signal : AbortSignal.any([signal, draining]);
  let sequence = afterSequence;
  for (;;) {
    const head = await db.read((q) => getHead(q, orderId));
    if (head === undefined) throw notFound({ type: OrderSchema.typeName, name: orderId });
    const transitions = await db.read((q) => transitionsAfter(q, orderId, sequence));
    for (const transition of transitions) {
      yield { transition };
      sequence = transition.sequence;
    }
    // It may have changed between the two reads; then there is more to send before the end.
    if (isFinal(head.state) && sequence >= head.sequence) return;
    if (transitions.length > 0) continue;
    await changes.after(orderId, sequence, stop).catch((error: unknown) => {
      throw draining?.aborted === true && !signal.aborted ? stopping(sequence) : error;
    });
  }
}

function stopping(sequence: number) {
  const message = `the server is shutting down; go on with after_sequence = ${sequence}`;
  return rpcError(Code.Unavailable, Reason.DRAINING, message);
}
