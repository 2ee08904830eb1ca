import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { OrderSchema } from "../../gen/ts/shop/order/v1/order_pb.ts";
import { sagaId, summary } from "./sagas.ts";

test("an order has one create saga, and one cancel saga for each time it is cancelled", () => {
  expect(sagaId("create-order", { orderId: "01J", sequence: 1 })).toBe("create-order/01J");
  expect(sagaId("cancel-order", { orderId: "01J", sequence: 3 })).toBe("cancel-order/01J/3");
  expect(sagaId("cancel-order", { orderId: "01J", sequence: 5 })).toBe("cancel-order/01J/5");
});

test("a summary is one line, however long the order", () => {
  const line = (sku: string, quantity: number) => ({ sku, quantity });
  const few = create(OrderSchema, {
    consumerId: "ada",
    totalCents: 2070n,
    lines: [line("margherita", 2), line("cola", 1)],
  });
  expect(summary(few)).toBe("ada: 2 × margherita, 1 × cola, 20.70");
  const many = create(OrderSchema, {
    consumerId: "ada",
    totalCents: 5n,
    lines: ["a", "b", "c", "d", "e"].map((sku) => line(sku, 1)),
  });
  expect(summary(many)).toBe("ada: 1 × a, 1 × b, 1 × c, 2 more, 0.05");
});
