/** The public API of the consumer service. */
import type { ServiceImpl } from "@connectrpc/connect";
import { ulid } from "ulid";
import { ConsumerSchema } from "../../gen/ts/shop/consumer/v1/consumer_pb.ts";
import {
  CreateConsumerResponseSchema,
  type ConsumerService,
} from "../../gen/ts/shop/consumer/v1/consumer_service_pb.ts";
import { alreadyExists, notFound } from "../../mesh/resources.ts";
import { idempotent, IDEMPOTENCY_KEY_HEADER } from "../../mesh/saga/idempotency.ts";
import { callerConsistency } from "../../mesh/sql/caller.ts";
import type { Database } from "../../mesh/sql/database.ts";
import { isDuplicateKey } from "../../mesh/sql/errors.ts";
import { getConsumer, insertConsumer } from "./store.ts";

const DEFAULT_ORDER_LIMIT_CENTS = 50_000n;

/** Makes the service. */
export function createConsumerService({
  db,
}: {
  readonly db: Database;
}): ServiceImpl<typeof ConsumerService> {
  return {
    createConsumer(request, { requestHeader }) {
      const consumerId = request.consumerId || ulid().toLowerCase();
      const orderLimitCents = request.orderLimitCents || DEFAULT_ORDER_LIMIT_CENTS;
      const call = {
        scope: "shop.consumer.v1.ConsumerService/CreateConsumer",
        key: requestHeader.get(IDEMPOTENCY_KEY_HEADER),
        request,
        response: CreateConsumerResponseSchema,
      };
      return idempotent(db, call, async (tx) => {
        await insertConsumer(tx, { consumerId, name: request.name, orderLimitCents });
        return { consumer: (await getConsumer(tx, consumerId))! };
      }).catch((error: unknown) => {
        throw isDuplicateKey(error) ? alreadyExists(resource(consumerId)) : error;
      });
    },

    async getConsumer({ consumerId }) {
      const consumer = await db.read((q) => getConsumer(q, consumerId), {
        consistency: callerConsistency(db),
      });
      if (consumer === undefined) throw notFound(resource(consumerId));
      return { consumer };
    },
  };
}

function resource(consumerId: string) {
  return { type: ConsumerSchema.typeName, name: consumerId };
}
