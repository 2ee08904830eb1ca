import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { ApplicationFailure, ApplicationFailureCategory } from "@temporalio/common";
import { describe, expect, test } from "vitest";
import { Reason } from "../gen/ts/heddle/error/v1/error_pb.ts";
import { AccountingParticipantService } from "../gen/ts/shop/accounting/v1/participant_service_pb.ts";
import { InventoryParticipantService } from "../gen/ts/shop/inventory/v1/participant_service_pb.ts";
import { OrderParticipantService } from "../gen/ts/shop/order/v1/participant_service_pb.ts";
import { ReserveStockResponseSchema } from "../gen/ts/shop/inventory/v1/participant_service_pb.ts";
import { rpcError } from "../mesh/errors.ts";
import { rejection } from "../mesh/saga/rejection.ts";
import { createActivities } from "./activities.ts";
import { scenarios } from "./histories/scenarios.ts";

const branch = { sagaId: "create-order/01J", step: "reserve-stock" };
/** As the order service writes it; a newer one may know more fields. */
const order = {
  orderId: "01J",
  consumerId: "ada",
  kitchenId: "main",
  totalCents: "1780",
  lines: [{ sku: "margherita", quantity: 2, priceCents: "890" }],
  fieldOfTheFuture: true,
};

/** Activities whose participants answer with what `answer` gives or throws, and what they were asked. */
function activities(answer: () => object = () => ({})) {
  const asked: { method: string; request: unknown; timeoutMs: number | undefined }[] = [];
  const mesh = createRouterTransport(({ service }) => {
    service(InventoryParticipantService, {
      reserveStock(request, { timeoutMs }) {
        asked.push({ method: "reserveStock", request, timeoutMs: timeoutMs() });
        return create(ReserveStockResponseSchema, answer());
      },
      releaseStock: () => answer(),
    });
    service(AccountingParticipantService, {
      authorizeCard(request, { timeoutMs }) {
        asked.push({ method: "authorizeCard", request, timeoutMs: timeoutMs() });
        return answer();
      },
    });
    service(OrderParticipantService, {
      rejectOrder(request, { timeoutMs }) {
        asked.push({ method: "rejectOrder", request, timeoutMs: timeoutMs() });
        return answer();
      },
    });
  });
  return { ...createActivities(mesh), asked };
}

async function thrown(running: Promise<unknown>): Promise<unknown> {
  return running.then(
    () => expect.unreachable("it did not fail"),
    (error: unknown) => error,
  );
}

describe("createActivities", () => {
  test("has every activity of every path", () => {
    const names = new Set(scenarios.flatMap(({ activities }) => activities));
    expect(Object.keys(createActivities(createRouterTransport(() => {})))).toEqual(
      expect.arrayContaining([...names]),
    );
  });

  test("makes one call with the branch, what the order says, and a deadline within the attempt", async () => {
    const { reserveStock, authorizeCard, rejectOrder, asked } = activities();
    await reserveStock(branch, order);
    await authorizeCard(branch, order);
    await rejectOrder(branch, order, "OUT_OF_STOCK");
    expect(asked).toMatchObject([
      { request: { branch, orderId: "01J", lines: [{ sku: "margherita", quantity: 2 }] } },
      { request: { branch, orderId: "01J", consumerId: "ada", amountCents: 1780n } },
      { request: { branch, orderId: "01J", reason: "OUT_OF_STOCK" } },
    ]);
    for (const { timeoutMs } of asked) expect(timeoutMs).toBeLessThan(5_000);
  });

  test("makes a rejection final, with its reason as type", async () => {
    const { reserveStock } = activities(() => {
      throw rejection("OUT_OF_STOCK", "no dough");
    });
    expect(await thrown(reserveStock(branch, order))).toMatchObject({
      name: "ApplicationFailure",
      type: "OUT_OF_STOCK",
      message: "no dough",
      nonRetryable: true,
      category: ApplicationFailureCategory.BENIGN,
    });
  });

  test.each([Code.Unavailable, Code.DeadlineExceeded, Code.FailedPrecondition, Code.Internal, Code.NotFound])(
    "has a bare code %i repeated: it is no rejection",
    async (code) => {
      const { reserveStock } = activities(() => {
        throw new ConnectError("no", code);
      });
      const error = await thrown(reserveStock(branch, order));
      expect(error).toBeInstanceOf(ConnectError);
      expect(error).not.toBeInstanceOf(ApplicationFailure);
    },
  );

  test("comes back when the participant says", async () => {
    const { reserveStock } = activities(() => {
      throw rpcError(Code.Aborted, Reason.IN_PROGRESS, "still running", { retryAfterMs: 700 });
    });
    const error = await thrown(reserveStock(branch, order));
    expect(error).toMatchObject({ nextRetryDelay: 700, message: expect.stringContaining("still running") });
    expect((error as ApplicationFailure).nonRetryable).not.toBe(true);
  });

  test("has a compensation repeated even if it is rejected: it has no other way", async () => {
    const { releaseStock } = activities(() => {
      throw rejection("OUT_OF_STOCK", "no");
    });
    expect(await thrown(releaseStock(branch, order))).not.toBeInstanceOf(ApplicationFailure);
  });
});
