import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import {
  InventoryParticipantService,
  ReleaseStockRequestSchema,
  ReleaseStockResponseSchema,
} from "../../gen/ts/shop/inventory/v1/participant_service_pb.ts";
import type { Tx } from "../sql/database.ts";
import { barred } from "./methods.ts";
import type { ParticipantCall } from "./participant.ts";

const { method } = InventoryParticipantService;
const tx = {} as Tx;

function harness() {
  const calls: ParticipantCall<typeof ReleaseStockResponseSchema>[] = [];
  const on = barred({
    async run(call, work) {
      calls.push(call as never);
      return create(call.response, await work(tx));
    },
  });
  return { on, calls };
}

test("names the operation and what it undoes after the contract's methods", async () => {
  const { on, calls } = harness();
  const seen: unknown[] = [];
  const handle = on(method.releaseStock, async (tx, request) => void seen.push(tx, request), {
    undoes: method.reserveStock,
  });
  const branch = { sagaId: "create-order/1", step: "reserve-stock" };
  const request = create(ReleaseStockRequestSchema, { branch, orderId: "1" });
  expect(await handle(request)).toEqual(create(ReleaseStockResponseSchema));
  expect(calls).toMatchObject([{ operation: "ReleaseStock", undoes: "ReserveStock", branch, request }]);
  expect(seen).toEqual([tx, request]);
});

test("refuses a request without a branch", () => {
  const { on, calls } = harness();
  const handle = on(method.commitStock, async () => {});
  expect(() => handle(create(method.commitStock.input, { orderId: "1" }))).toThrow(
    expect.objectContaining({ code: Code.InvalidArgument }) as Error,
  );
  expect(calls).toEqual([]);
});
