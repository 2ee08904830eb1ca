/** The order service's own part in the sagas about its orders, behind the barrier. */
import type { ServiceImpl } from "@connectrpc/connect";
import { OrderSchema } from "../../gen/ts/shop/order/v1/order_pb.ts";
import { OrderParticipantService } from "../../gen/ts/shop/order/v1/participant_service_pb.ts";
import { wrongState } from "../../mesh/resources.ts";
import { barred, type InBranch } from "../../mesh/saga/methods.ts";
import type { Participant } from "../../mesh/saga/participant.ts";
import type { Tx } from "../../mesh/sql/database.ts";
import { changeState, lockOrder, type StateName } from "./store.ts";

const { method } = OrderParticipantService;

/** What it needs. */
export interface OrderParticipantOptions {
  readonly participant: Participant;
  /** Told of every order that has changed, after the commit. */
  readonly notify: (orderId: string) => void;
}

/** Makes the service. */
export function createOrderParticipant({
  participant,
  notify,
}: OrderParticipantOptions): ServiceImpl<typeof OrderParticipantService> {
  const on = barred(participant);
  const telling =
    <Request extends { readonly orderId: string }, Response>(
      handle: (request: Request) => Promise<Response>,
    ) =>
    async (request: Request) => {
      const response = await handle(request);
      notify(request.orderId);
      return response;
    };
  return {
    approveOrder: telling(
      on(method.approveOrder, (tx, request) =>
        settle(tx, request, "APPROVAL_PENDING", { state: "APPROVED" }),
      ),
    ),
    rejectOrder: telling(
      on(method.rejectOrder, (tx, request) =>
        settle(tx, request, "APPROVAL_PENDING", { state: "REJECTED", reason: request.reason }),
      ),
    ),
    confirmCancelOrder: telling(
      on(method.confirmCancelOrder, (tx, request) =>
        settle(tx, request, "CANCEL_PENDING", { state: "CANCELLED" }),
      ),
    ),
    undoCancelOrder: telling(
      on(method.undoCancelOrder, (tx, request) =>
        settle(tx, request, "CANCEL_PENDING", { state: "APPROVED", reason: request.reason }),
      ),
    ),
  };
}

/** Ends what a saga was doing with an order. */
async function settle(
  tx: Tx,
  { orderId, branch: { sagaId } }: InBranch<{ readonly orderId: string }>,
  from: StateName,
  to: { readonly state: StateName; readonly reason?: string },
): Promise<void> {
  const head = await lockOrder(tx, orderId);
  if (head?.state !== from || head.lockSagaId !== sagaId) {
    throw wrongState({ type: OrderSchema.typeName, name: orderId }, `is not ${from} for saga ${sagaId}`);
  }
  await changeState(tx, orderId, head, to);
}
