/** The consumer service's part in sagas: a question that changes nothing, so it needs no barrier. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { ConsumerParticipantService } from "../../gen/ts/shop/consumer/v1/participant_service_pb.ts";
import { rejection } from "../../mesh/saga/rejection.ts";
import type { Database } from "../../mesh/sql/database.ts";
import { getConsumer } from "./store.ts";

/** Makes the service. */
export function createConsumerParticipant({
  db,
}: {
  readonly db: Database;
}): ServiceImpl<typeof ConsumerParticipantService> {
  return {
    async verifyConsumer({ consumerId, totalCents }) {
      // From the primary: somebody who was made a moment ago may order.
      const consumer = await db.read((q) => getConsumer(q, consumerId), { consistency: "primary" });
      if (consumer === undefined) {
        throw rejection("CONSUMER_NOT_FOUND", `there is no consumer "${consumerId}"`);
      }
      if (totalCents > consumer.orderLimitCents) {
        throw rejection(
          "ORDER_LIMIT_EXCEEDED",
          `the total of ${totalCents} cents is above the limit of ${consumer.orderLimitCents}`,
        );
      }
      return {};
    },
  };
}
