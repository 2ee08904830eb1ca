import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { MethodInfo } from "../rpc/call.ts";
import { codeName, createMetrics } from "./metrics.ts";

const method: MethodInfo = {
  service: "shop.order.v1.OrderService",
  method: "GetOrder",
  path: "/shop.order.v1.OrderService/GetOrder",
  kind: "unary",
  idempotency: "no_side_effects",
};
const labels = 'grpc_type="unary",grpc_service="shop.order.v1.OrderService",grpc_method="GetOrder"';

describe("createMetrics", () => {
  test.each([
    ["serverCall", "grpc_server"],
    ["clientCall", "grpc_client"],
    ["clientAttempt", "grpc_client_attempt"],
  ] as const)("%s counts begin and end under %s", async (meter, prefix) => {
    const metrics = createMetrics({ process: false });
    metrics[meter](method)();
    metrics[meter](method)(Code.DeadlineExceeded);
    metrics[meter](method);
    const text = await metrics.registry.metrics();
    expect(text).toContain(`${prefix}_started_total{${labels}} 3`);
    expect(text).toContain(`${prefix}_handled_total{${labels},grpc_code="OK"} 1`);
    expect(text).toContain(`${prefix}_handled_total{${labels},grpc_code="DEADLINE_EXCEEDED"} 1`);
    expect(text).toContain(`${prefix}_handling_seconds_count{${labels}} 2`);
  });

  test("each process has a registry of its own", async () => {
    const one = createMetrics({ process: false });
    one.ejection("s");
    expect(await createMetrics({ process: false }).registry.metrics()).not.toContain("ejections_total{");
  });
});

test("codeName spells codes as gRPC does", () => {
  expect([undefined, Code.Canceled, Code.NotFound, Code.DataLoss].map(codeName)).toEqual([
    "OK",
    "CANCELLED",
    "NOT_FOUND",
    "DATA_LOSS",
  ]);
});
