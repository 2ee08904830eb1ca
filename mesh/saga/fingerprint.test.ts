import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { CreateTicketRequestSchema } from "../../gen/ts/shop/kitchen/v1/participant_service_pb.ts";
import { DepositRequestSchema } from "../../gen/ts/shop/accounting/v1/accounting_service_pb.ts";
import { fingerprint } from "./fingerprint.ts";

const ticket = (orderId: string, ...skus: string[]) =>
  create(CreateTicketRequestSchema, { orderId, lines: skus.map((sku) => ({ sku, quantity: 1 })) });

const hex = (message: Parameters<typeof fingerprint>[0]) => Buffer.from(fingerprint(message)).toString("hex");

test("is the same for the same request, before and after the wire", () => {
  const request = ticket("o-1", "pizza", "cola");
  const received = fromBinary(CreateTicketRequestSchema, toBinary(CreateTicketRequestSchema, request));
  expect(hex(received)).toBe(hex(request));
});

test.each([
  ["a field", ticket("o-2", "pizza", "cola")],
  ["an element", ticket("o-1", "pizza", "tea")],
  ["the order of elements", ticket("o-1", "cola", "pizza")],
  ["the number of elements", ticket("o-1", "pizza")],
])("differs by %s", (_what, other) => {
  expect(hex(other)).not.toBe(hex(ticket("o-1", "pizza", "cola")));
});

test("a field that a newer schema adds, and nobody set, changes nothing", () => {
  const request = ticket("o-1", "pizza");
  const newer = {
    ...request,
    note: "",
    urgency: 0,
    tags: [],
    amount: 0n,
    photo: new Uint8Array(),
    other: undefined,
  };
  expect(hex(newer)).toBe(hex(request));
});

test("tells large amounts apart", () => {
  const deposit = (amountCents: bigint) => create(DepositRequestSchema, { accountId: "a", amountCents });
  expect(hex(deposit(9007199254740993n))).not.toBe(hex(deposit(9007199254740992n)));
});
