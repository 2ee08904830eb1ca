/**
 * The activities of the order workflows. One activity is one gRPC call through the mesh, with a deadline and the branch as its
 * key: repeated as often as it takes, it has its effect once.
 */
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { ApplicationFailure, ApplicationFailureCategory } from "@temporalio/common";
import { AccountingParticipantService } from "../gen/ts/shop/accounting/v1/participant_service_pb.ts";
import { ConsumerParticipantService } from "../gen/ts/shop/consumer/v1/participant_service_pb.ts";
import { InventoryParticipantService } from "../gen/ts/shop/inventory/v1/participant_service_pb.ts";
import { KitchenParticipantService } from "../gen/ts/shop/kitchen/v1/participant_service_pb.ts";
import { OrderSchema, type Order } from "../gen/ts/shop/order/v1/order_pb.ts";
import { OrderParticipantService } from "../gen/ts/shop/order/v1/participant_service_pb.ts";
import { retryAfterMs } from "../mesh/errors.ts";
import { rejectionOf } from "../mesh/saga/rejection.ts";
import type { BranchKey } from "../mesh/saga/saga.ts";
import type { OrderJson } from "./order.ts";

/** What workflows may call. */
export type ShopActivities = ReturnType<typeof createActivities>;

/** Of one call, in milliseconds: a little shorter than an attempt of the activity, so that it is the call that is given up. */
const CALL = { timeoutMs: 4_500 };

/** Makes the activities. */
export function createActivities(mesh: Transport) {
  const orders = createClient(OrderParticipantService, mesh);
  const inventory = createClient(InventoryParticipantService, mesh);
  const consumers = createClient(ConsumerParticipantService, mesh);
  const kitchen = createClient(KitchenParticipantService, mesh);
  const accounting = createClient(AccountingParticipantService, mesh);
  return {
    // Create.
    verifyConsumer: mayBeRejected((branch, { consumerId, totalCents }) =>
      consumers.verifyConsumer({ branch, consumerId, totalCents }, CALL),
    ),
    reserveStock: mayBeRejected((branch, { orderId, lines }) =>
      inventory.reserveStock({ branch, orderId, lines: quantities(lines) }, CALL),
    ),
    releaseStock: untilDone((branch, { orderId }) => inventory.releaseStock({ branch, orderId }, CALL)),
    createTicket: mayBeRejected((branch, { orderId, kitchenId, lines }) =>
      kitchen.createTicket({ branch, orderId, kitchenId, lines: quantities(lines) }, CALL),
    ),
    rejectTicket: untilDone((branch, { orderId }) => kitchen.rejectTicket({ branch, orderId }, CALL)),
    authorizeCard: mayBeRejected((branch, { orderId, consumerId, totalCents }) =>
      accounting.authorizeCard({ branch, orderId, consumerId, amountCents: totalCents }, CALL),
    ),
    reverseAuthorization: untilDone((branch, { orderId }) =>
      accounting.reverseAuthorization({ branch, orderId }, CALL),
    ),
    confirmTicket: untilDone((branch, { orderId }) => kitchen.confirmTicket({ branch, orderId }, CALL)),
    commitStock: untilDone((branch, { orderId }) => inventory.commitStock({ branch, orderId }, CALL)),
    approveOrder: untilDone((branch, { orderId }) => orders.approveOrder({ branch, orderId }, CALL)),
    rejectOrder: untilDone((branch, { orderId }, reason: string) =>
      orders.rejectOrder({ branch, orderId, reason }, CALL),
    ),
    // Cancel.
    beginCancelTicket: mayBeRejected((branch, { orderId }) =>
      kitchen.beginCancelTicket({ branch, orderId }, CALL),
    ),
    undoCancelTicket: untilDone((branch, { orderId }) => kitchen.undoCancelTicket({ branch, orderId }, CALL)),
    refundPayment: untilDone((branch, { orderId }) => accounting.refundPayment({ branch, orderId }, CALL)),
    confirmCancelTicket: untilDone((branch, { orderId }) =>
      kitchen.confirmCancelTicket({ branch, orderId }, CALL),
    ),
    returnStock: untilDone((branch, { orderId }) => inventory.returnStock({ branch, orderId }, CALL)),
    confirmCancelOrder: untilDone((branch, { orderId }) =>
      orders.confirmCancelOrder({ branch, orderId }, CALL),
    ),
    undoCancelOrder: untilDone((branch, { orderId }, reason: string) =>
      orders.undoCancelOrder({ branch, orderId, reason }, CALL),
    ),
  };
}

type Participate<More extends unknown[]> = (
  branch: BranchKey,
  order: Order,
  ...more: More
) => Promise<unknown>;
type Activity<More extends unknown[]> = (branch: BranchKey, order: OrderJson, ...more: More) => Promise<void>;

/** An activity whose participant may say no; that answer is final. Everything else is repeated. */
function mayBeRejected<More extends unknown[]>(participate: Participate<More>): Activity<More> {
  return activity(participate, (error) => {
    const rejection = rejectionOf(error);
    if (rejection === undefined) return again(error);
    return ApplicationFailure.create({
      type: rejection.reason,
      message: rejection.message,
      nonRetryable: true,
      category: ApplicationFailureCategory.BENIGN,
    });
  });
}

/** An activity that must succeed in the end: a saga that goes forward or back has no other way. Repeated after any error. */
function untilDone<More extends unknown[]>(participate: Participate<More>): Activity<More> {
  return activity(participate, again);
}

function activity<More extends unknown[]>(
  participate: Participate<More>,
  failure: (error: unknown) => unknown,
): Activity<More> {
  return async (branch, order, ...more) => {
    // An order service that is newer than this worker may have added fields.
    const message = fromJson(OrderSchema, order as OrderJson & JsonObject, { ignoreUnknownFields: true });
    try {
      await participate(branch, message, ...more);
    } catch (error) {
      throw failure(error);
    }
  };
}

/** The error as it was, or, where the participant says when to come back, with that delay. */
function again(error: unknown): unknown {
  const afterMs = error instanceof ConnectError ? retryAfterMs(error) : undefined;
  if (!(error instanceof ConnectError) || afterMs === undefined) return error;
  return ApplicationFailure.create({ message: error.message, nextRetryDelay: afterMs, cause: error });
}

function quantities(lines: Order["lines"]): { sku: string; quantity: number }[] {
  return lines.map(({ sku, quantity }) => ({ sku, quantity }));
}
