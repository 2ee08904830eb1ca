import { expect, test } from "vitest";
import { file_shop_inventory_v1_inventory_service } from "../../../gen/ts/shop/inventory/v1/inventory_service_pb.ts";
import { file_shop_inventory_v1_participant_service } from "../../../gen/ts/shop/inventory/v1/participant_service_pb.ts";
import { file_shop_order_v1_order_service } from "../../../gen/ts/shop/order/v1/order_service_pb.ts";
import { file_shop_order_v1_participant_service } from "../../../gen/ts/shop/order/v1/participant_service_pb.ts";
import { filesOf } from "../../routes/echo.fixture.ts";
import { buildRouteTable } from "../../routes/table.ts";

const files = [
  file_shop_inventory_v1_inventory_service,
  file_shop_inventory_v1_participant_service,
  file_shop_order_v1_order_service,
  file_shop_order_v1_participant_service,
];

const { table, problems } = buildRouteTable(
  files.map((file) => ({
    digest: file.proto.name,
    services: file.services.map(({ typeName }) => typeName),
    files: filesOf(file),
    version: "1.0.0",
    startedAtMs: 0,
  })),
);

/** Tags by method, of those that read or of those that write. */
function tagsOf(how: "read" | "write"): Record<string, string[]> {
  const methods = [...table.methods.values()].filter(({ caching }) => caching?.[how] !== undefined);
  return Object.fromEntries(
    methods.map(({ info, caching }) => [info.method, caching![how]!.tags.map(({ source }) => source)]),
  );
}

test("what the shop says about its responses can be kept", () => {
  expect(problems).toEqual([]);
  expect(tagsOf("read")).toEqual({
    GetOrder: ["order:{order_id}"],
    GetProduct: ["product:{sku}", "stock"],
    ListProducts: ["products", "stock"],
  });
});

test("every method of the shop that changes an order or a stock says so", () => {
  const order = ["order:{order_id}"];
  expect(tagsOf("write")).toEqual({
    ApproveOrder: order,
    CancelOrder: order,
    CommitStock: ["stock"],
    ConfirmCancelOrder: order,
    RejectOrder: order,
    ReleaseStock: ["stock"],
    ReserveStock: ["product:{lines.sku}", "products"],
    RestockProduct: ["product:{sku}", "products"],
    ReturnStock: ["stock"],
    UndoCancelOrder: order,
  });
  const reading = new Set(["OrderService", "InventoryService"].flatMap((name) => readersOf(name)));
  const silent = [...table.methods.values()].filter(({ caching, info }) => {
    return caching?.write === undefined && !reading.has(info.method);
  });
  // No cached response shows an order that is not there yet.
  expect(silent.map(({ info }) => info.method)).toEqual(["CreateOrder"]);
});

function readersOf(service: string): string[] {
  const methods = [...table.methods.values()].filter(({ info }) => info.service.endsWith(`.${service}`));
  return methods.filter(({ info }) => info.idempotency === "no_side_effects").map(({ info }) => info.method);
}
