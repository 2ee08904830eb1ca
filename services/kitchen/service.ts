/** The public API of the kitchen: kitchens, and how far tickets are. */
import type { ServiceImpl } from "@connectrpc/connect";
import { KitchenSchema, TicketSchema, type Ticket } from "../../gen/ts/shop/kitchen/v1/kitchen_pb.ts";
import type { KitchenService } from "../../gen/ts/shop/kitchen/v1/kitchen_service_pb.ts";
import { notFound, wrongState } from "../../mesh/resources.ts";
import { callerConsistency } from "../../mesh/sql/caller.ts";
import type { Database, Tx } from "../../mesh/sql/database.ts";
import { getKitchen, getTicket, lockTicket, setState, updateKitchen, type StateName } from "./store.ts";

/** Makes the service. */
export function createKitchenService({ db }: { readonly db: Database }): ServiceImpl<typeof KitchenService> {
  return {
    async getKitchen({ kitchenId }) {
      const kitchen = await db.read((q) => getKitchen(q, kitchenId), { consistency: callerConsistency(db) });
      if (kitchen === undefined) throw noKitchen(kitchenId);
      return { kitchen };
    },

    async updateKitchen({ kitchenId, open, capacity }) {
      const work = async (tx: Tx) => {
        const kitchen = await getKitchen(tx, kitchenId, "FOR UPDATE");
        if (kitchen === undefined) throw noKitchen(kitchenId);
        kitchen.open = open ?? kitchen.open;
        kitchen.capacity = capacity ?? kitchen.capacity;
        await updateKitchen(tx, kitchen);
        return kitchen;
      };
      return { kitchen: await db.write(work, { canRerun: true }) };
    },

    async getTicket({ ticketId }) {
      const ticket = await db.read((q) => getTicket(q, ticketId), { consistency: callerConsistency(db) });
      if (ticket === undefined) throw noTicket(ticketId);
      return { ticket };
    },

    acceptTicket: async ({ ticketId }) => ({
      ticket: await moveTicket(db, ticketId, "AWAITING_ACCEPTANCE", "ACCEPTED"),
    }),
    startPreparing: async ({ ticketId }) => ({
      ticket: await moveTicket(db, ticketId, "ACCEPTED", "PREPARING"),
    }),
    markReady: async ({ ticketId }) => ({ ticket: await moveTicket(db, ticketId, "PREPARING", "READY") }),
  };
}

/** Moves a ticket on; one that is there already stays. */
function moveTicket(db: Database, ticketId: string, from: StateName, to: StateName): Promise<Ticket> {
  const work = async (tx: Tx) => {
    const head = await lockTicket(tx, ticketId);
    if (head === undefined) throw noTicket(ticketId);
    if (head.state !== to) {
      if (head.state !== from) throw wrongTicketState(ticketId, head.state, from);
      await setState(tx, ticketId, head, to);
    }
    return (await getTicket(tx, ticketId))!;
  };
  return db.write(work, { canRerun: true });
}

function noKitchen(kitchenId: string) {
  return notFound({ type: KitchenSchema.typeName, name: kitchenId });
}

function noTicket(ticketId: string) {
  return notFound({ type: TicketSchema.typeName, name: ticketId });
}

function wrongTicketState(ticketId: string, state: StateName, needed: StateName) {
  return wrongState({ type: TicketSchema.typeName, name: ticketId }, `is ${state}, not ${needed}`, {
    metadata: { state },
  });
}
