/** Inventory's part in sagas, behind the barrier. */
import type { ConnectError, ServiceImpl } from "@connectrpc/connect";
import { InventoryParticipantService } from "../../gen/ts/shop/inventory/v1/participant_service_pb.ts";
import { wrongState } from "../../mesh/resources.ts";
import { barred } from "../../mesh/saga/methods.ts";
import type { Participant } from "../../mesh/saga/participant.ts";
import { rejection } from "../../mesh/saga/rejection.ts";
import type { Tx } from "../../mesh/sql/database.ts";
import { moveStock, reserveStock, type ReservationState, type Shortage } from "./store.ts";

const { method } = InventoryParticipantService;

/** Makes the service. */
export function createInventoryParticipant({
  participant,
}: {
  readonly participant: Participant;
}): ServiceImpl<typeof InventoryParticipantService> {
  const on = barred(participant);
  return {
    reserveStock: on(method.reserveStock, async (tx, { orderId, lines }) => {
      const shortage = await reserveStock(tx, orderId, lines);
      if (shortage !== undefined) throw rejected(shortage);
    }),
    releaseStock: on(method.releaseStock, (tx, { orderId }) => move(tx, orderId, "RESERVED", "RELEASED"), {
      undoes: method.reserveStock,
    }),
    commitStock: on(method.commitStock, (tx, { orderId }) => move(tx, orderId, "RESERVED", "SOLD")),
    returnStock: on(method.returnStock, (tx, { orderId }) => move(tx, orderId, "SOLD", "RETURNED")),
  };
}

async function move(tx: Tx, orderId: string, from: "RESERVED" | "SOLD", to: ReservationState): Promise<void> {
  if (await moveStock(tx, orderId, from, to)) return;
  throw wrongState({ type: "shop.order.v1.Order", name: orderId }, `has no stock that is ${from}`);
}

function rejected({ sku, wanted, onHand }: Shortage): ConnectError {
  if (onHand === undefined) return rejection("UNKNOWN_PRODUCT", `there is no product "${sku}"`);
  return rejection("OUT_OF_STOCK", `${sku}: ${wanted} wanted, ${onHand} left`);
}
