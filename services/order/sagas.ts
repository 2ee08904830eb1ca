/**
 * The sagas about orders. Which one is to run is written to the outbox in the transaction that needs it; the relay then
 * starts it at Temporal: an order whose saga is not running or done cannot be.
 */
import { fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { Client, Connection, WorkflowExecutionAlreadyStartedError } from "@temporalio/client";
import { OrderSchema, type Order } from "../../gen/ts/shop/order/v1/order_pb.ts";
import { enqueue, type NewMessage } from "../../mesh/bus/outbox.ts";
import type { Tx } from "../../mesh/sql/database.ts";

/** The sagas. */
export type SagaKind = "create-order" | "cancel-order";

/** Where they run. */
export interface SagaStarterOptions {
  /** Temporal's frontend, `host:port`. */
  readonly address: string;
  readonly namespace: string;
  readonly taskQueue: string;
}

/** Starts sagas. */
export interface SagaStarter {
  /** Starts the saga of a message, once however often it is asked to. Rejects while Temporal does not answer. */
  readonly start: (message: Pick<NewMessage, "topic" | "payload">) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** An attempt to start a saga may take this long. */
const START_TIMEOUT_MS = 5_000;

/** Id of a saga: unique for ever, as an order is created once and each cancellation begins at another sequence number. */
export function sagaId(kind: SagaKind, { orderId, sequence }: Pick<Order, "orderId" | "sequence">): string {
  return kind === "create-order" ? `${kind}/${orderId}` : `${kind}/${orderId}/${sequence}`;
}

/** Has a saga started, if this transaction commits. `order` is the order as this transaction leaves it. */
export async function requestSaga(tx: Tx, kind: SagaKind, order: Order): Promise<void> {
  await enqueue(tx, { topic: kind, aggregateId: order.orderId, payload: toBinary(OrderSchema, order) });
}

/** Makes a starter. It need not find Temporal: it connects now, or when there is something to start. */
export function createSagaStarter({ address, namespace, taskQueue }: SagaStarterOptions): SagaStarter {
  const connection = Connection.lazy({ address });
  connection.ensureConnected().catch(() => {});
  const client = new Client({ connection, namespace });
  return {
    async start({ topic, payload }) {
      const { kind, workflow } = known(topic);
      const order = fromBinary(OrderSchema, payload);
      const { orderId, consumerId } = order;
      try {
        await connection.withDeadline(Date.now() + START_TIMEOUT_MS, () =>
          client.workflow.start(workflow, {
            workflowId: sagaId(kind, order),
            workflowIdReusePolicy: "REJECT_DUPLICATE",
            workflowIdConflictPolicy: "USE_EXISTING",
            workflowTaskTimeout: "5s",
            taskQueue,
            args: [toJson(OrderSchema, order)],
            memo: { orderId, consumerId },
            staticSummary: summary(order),
          }),
        );
      } catch (error) {
        // It has run already: a relay died between starting it and saying so.
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      }
    },
    close: () => connection.close(),
  };
}

function known(topic: string): { readonly kind: SagaKind; readonly workflow: string } {
  if (topic === "create-order") return { kind: topic, workflow: "createOrder" };
  if (topic === "cancel-order") return { kind: topic, workflow: "cancelOrder" };
  throw new TypeError(`the outbox holds a message for "${topic}", which is no saga`);
}

/** One line for the web UI, such as `ada: 2 × margherita, 1 × cola, 20.70`. */
export function summary({ consumerId, lines, totalCents }: Order): string {
  const shown = lines.slice(0, 3).map(({ sku, quantity }) => `${quantity} × ${sku}`);
  const more = lines.length > 3 ? [`${lines.length - 3} more`] : [];
  const cents = String(totalCents % 100n).padStart(2, "0");
  return `${consumerId}: ${[...shown, ...more].join(", ")}, ${totalCents / 100n}.${cents}`;
}
