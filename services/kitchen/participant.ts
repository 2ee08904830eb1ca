/** The kitchen's part in sagas, behind the barrier. */
import type { ServiceImpl } from "@connectrpc/connect";
import { TicketSchema } from "../../gen/ts/shop/kitchen/v1/kitchen_pb.ts";
import { KitchenParticipantService } from "../../gen/ts/shop/kitchen/v1/participant_service_pb.ts";
import { wrongState } from "../../mesh/resources.ts";
import { barred, type InBranch } from "../../mesh/saga/methods.ts";
import type { Participant } from "../../mesh/saga/participant.ts";
import { rejection } from "../../mesh/saga/rejection.ts";
import type { Tx } from "../../mesh/sql/database.ts";
import {
  beginCancel,
  getKitchen,
  insertTicket,
  lockTicket,
  setState,
  undoCancel,
  type StateName,
} from "./store.ts";

const { method } = KitchenParticipantService;

/** Makes the service. A ticket has the id of its order. */
export function createKitchenParticipant({
  participant,
}: {
  readonly participant: Participant;
}): ServiceImpl<typeof KitchenParticipantService> {
  const on = barred(participant);
  return {
    createTicket: on(method.createTicket, async (tx, { branch, orderId, kitchenId, lines }) => {
      await claimPlace(tx, kitchenId);
      await insertTicket(tx, orderId, kitchenId, branch.sagaId, lines);
    }),
    rejectTicket: on(
      method.rejectTicket,
      (tx, request) => settle(tx, request, "CREATE_PENDING", "CREATE_REJECTED"),
      { undoes: method.createTicket },
    ),
    confirmTicket: on(method.confirmTicket, (tx, request) =>
      settle(tx, request, "CREATE_PENDING", "AWAITING_ACCEPTANCE"),
    ),
    beginCancelTicket: on(method.beginCancelTicket, async (tx, { branch, orderId }) => {
      await claimCancel(tx, orderId);
      await beginCancel(tx, orderId, branch.sagaId);
    }),
    undoCancelTicket: on(
      method.undoCancelTicket,
      async (tx, { branch: { sagaId }, orderId }) => {
        if (!(await undoCancel(tx, orderId, sagaId))) throw notHeld(orderId, sagaId, "CANCEL_PENDING");
      },
      { undoes: method.beginCancelTicket },
    ),
    confirmCancelTicket: on(method.confirmCancelTicket, (tx, request) =>
      settle(tx, request, "CANCEL_PENDING", "CANCELLED"),
    ),
  };
}

/** Locks a kitchen that takes another ticket. */
async function claimPlace(tx: Tx, kitchenId: string): Promise<void> {
  const kitchen = await getKitchen(tx, kitchenId, "FOR UPDATE");
  if (kitchen === undefined) throw rejection("KITCHEN_NOT_FOUND", `there is no kitchen "${kitchenId}"`);
  if (!kitchen.open) throw rejection("KITCHEN_CLOSED", `kitchen "${kitchenId}" is closed`);
  if (kitchen.activeTickets < kitchen.capacity) return;
  throw rejection("KITCHEN_FULL", `kitchen "${kitchenId}" works on ${kitchen.activeTickets} tickets already`);
}

/** Locks a ticket that can still be cancelled. */
async function claimCancel(tx: Tx, ticketId: string): Promise<void> {
  const head = await lockTicket(tx, ticketId);
  if (head === undefined) throw rejection("TICKET_NOT_FOUND", `there is no ticket "${ticketId}"`);
  if (head.state === "PREPARING" || head.state === "READY") {
    throw rejection("TICKET_IN_PREPARATION", `ticket "${ticketId}" is ${head.state}: too late to cancel`);
  }
  if (head.state === "AWAITING_ACCEPTANCE" || head.state === "ACCEPTED") return;
  throw rejection("TICKET_BUSY", `ticket "${ticketId}" is ${head.state}`);
}

/** Ends what a saga was doing with a ticket. */
async function settle(
  tx: Tx,
  { orderId, branch: { sagaId } }: InBranch<{ readonly orderId: string }>,
  from: StateName,
  to: StateName,
): Promise<void> {
  const head = await lockTicket(tx, orderId);
  if (head?.state !== from || head.lockSagaId !== sagaId) throw notHeld(orderId, sagaId, from);
  await setState(tx, orderId, head, to);
}

function notHeld(ticketId: string, sagaId: string, state: StateName) {
  return wrongState({ type: TicketSchema.typeName, name: ticketId }, `is not ${state} for saga ${sagaId}`);
}
