/** Accounting's part in sagas, behind the barrier. */
import type { ServiceImpl } from "@connectrpc/connect";
import { AccountingParticipantService } from "../../gen/ts/shop/accounting/v1/participant_service_pb.ts";
import { wrongState } from "../../mesh/resources.ts";
import { barred } from "../../mesh/saga/methods.ts";
import type { Participant } from "../../mesh/saga/participant.ts";
import { rejection } from "../../mesh/saga/rejection.ts";
import type { Tx } from "../../mesh/sql/database.ts";
import { getAccount, hold, lockAuthorization, settle, type AuthorizationState } from "./store.ts";

const { method } = AccountingParticipantService;

/** Makes the service. An account has the id of its consumer. */
export function createAccountingParticipant({
  participant,
}: {
  readonly participant: Participant;
}): ServiceImpl<typeof AccountingParticipantService> {
  const on = barred(participant);
  return {
    authorizeCard: on(method.authorizeCard, async (tx, { orderId, consumerId, amountCents }) => {
      await claimMoney(tx, consumerId, amountCents);
      await hold(tx, orderId, consumerId, amountCents);
    }),
    reverseAuthorization: on(
      method.reverseAuthorization,
      (tx, { orderId }) => settleFrom(tx, orderId, { HELD: "REVERSED" }),
      { undoes: method.authorizeCard },
    ),
    capturePayment: on(method.capturePayment, (tx, { orderId }) =>
      settleFrom(tx, orderId, { HELD: "CAPTURED" }),
    ),
    refundPayment: on(method.refundPayment, (tx, { orderId }) =>
      settleFrom(tx, orderId, { HELD: "REVERSED", CAPTURED: "REFUNDED" }),
    ),
  };
}

/** Locks an account from which this much can be held. */
async function claimMoney(tx: Tx, accountId: string, amountCents: bigint): Promise<void> {
  const account = await getAccount(tx, accountId, "FOR UPDATE");
  if (account === undefined) throw rejection("ACCOUNT_NOT_FOUND", `there is no account "${accountId}"`);
  if (account.disabled) throw rejection("ACCOUNT_DISABLED", `account "${accountId}" is disabled`);
  if (amountCents <= account.balanceCents) return;
  throw rejection("CARD_DECLINED", `account "${accountId}" does not cover ${amountCents} cents`);
}

/** Moves the money of an order on, to where its state leads. */
async function settleFrom(
  tx: Tx,
  orderId: string,
  steps: Partial<Record<AuthorizationState, "REVERSED" | "CAPTURED" | "REFUNDED">>,
): Promise<void> {
  const authorization = await lockAuthorization(tx, orderId);
  const to = authorization && steps[authorization.state];
  if (authorization === undefined || to === undefined) {
    const state = authorization?.state ?? "without an authorisation";
    throw wrongState({ type: "shop.order.v1.Order", name: orderId }, `is ${state} in accounting`);
  }
  await settle(tx, orderId, authorization, to);
}
