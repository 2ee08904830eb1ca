/** What sagas run on here: Temporal. Imported by workflows only; it runs inside their sandbox. */
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  proxyActivities,
  workflowInfo,
  type ActivityOptions,
} from "@temporalio/workflow";
import { runSaga, type Failure, type Saga, type SagaRuntime } from "../mesh/saga/saga.ts";
import type { ShopActivities } from "./activities.ts";

/**
 * Of every activity: one call, which is repeated with the same branch until it has an answer. An attempt is short, because
 * one that died with its worker is only repeated once its time is over.
 */
const untilAnswered: ActivityOptions = {
  startToCloseTimeout: "5s",
  retry: { initialInterval: "100ms", backoffCoefficient: 2, maximumInterval: "5s" },
};

/** The activities, under a summary that the web UI shows for the step. */
export function call(summary: string): ShopActivities {
  return proxyActivities<ShopActivities>({ ...untilAnswered, summary });
}

/** Runs a saga whose id is that of the workflow. Resolves with the rejection if all of it was undone. */
export function saga(body: (saga: Saga) => Promise<void>): Promise<Failure | undefined> {
  const runtime: SagaRuntime = {
    sagaId: workflowInfo().workflowId,
    shield: (work) => CancellationScope.nonCancellable(work),
    failureOf,
  };
  return runSaga(runtime, body);
}

/**
 * Outcome classes. Activities retry whatever is unknown, so what arrives here is final: a rejection, which they mark as not
 * retryable with its reason as type; a cancellation; or a fault of the platform.
 */
function failureOf(error: unknown): Failure | undefined {
  if (isCancellation(error)) {
    return { kind: "cancelled", reason: "SAGA_CANCELLED", message: "an operator stopped the saga" };
  }
  if (!(error instanceof ActivityFailure)) return undefined;
  const { cause } = error;
  if (cause instanceof ApplicationFailure && cause.nonRetryable === true && typeof cause.type === "string") {
    return { kind: "rejected", reason: cause.type, message: cause.message };
  }
  return { kind: "failed", reason: "SAGA_FAILED", message: cause?.message ?? error.message };
}
