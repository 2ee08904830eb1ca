/** The public API of accounting: accounts, and the money on them. */
import type { ServiceImpl } from "@connectrpc/connect";
import { AccountSchema, type Account } from "../../gen/ts/shop/accounting/v1/accounting_pb.ts";
import {
  CreateAccountResponseSchema,
  DepositResponseSchema,
  type AccountingService,
} from "../../gen/ts/shop/accounting/v1/accounting_service_pb.ts";
import { invalidArgument } from "../../mesh/errors.ts";
import { alreadyExists, notFound } from "../../mesh/resources.ts";
import { idempotent, IDEMPOTENCY_KEY_HEADER } from "../../mesh/saga/idempotency.ts";
import { callerConsistency } from "../../mesh/sql/caller.ts";
import type { Database, Tx } from "../../mesh/sql/database.ts";
import { isDuplicateKey } from "../../mesh/sql/errors.ts";
import { deposit, getAccount, insertAccount, setDisabled } from "./store.ts";

/** All that an account was ever paid, in cents: sums stay exact in every language, JSON included. */
const MAX_DEPOSITED_CENTS = 1_000_000_000_000_000n;

/** Makes the service. */
export function createAccountingService({
  db,
}: {
  readonly db: Database;
}): ServiceImpl<typeof AccountingService> {
  return {
    createAccount(request, { requestHeader }) {
      const { accountId } = request;
      const call = {
        scope: "shop.accounting.v1.AccountingService/CreateAccount",
        key: requestHeader.get(IDEMPOTENCY_KEY_HEADER),
        request,
        response: CreateAccountResponseSchema,
      };
      return idempotent(db, call, async (tx) => {
        await insertAccount(tx, accountId);
        return { account: await existing(tx, accountId) };
      }).catch((error: unknown) => {
        throw isDuplicateKey(error) ? alreadyExists(resource(accountId)) : error;
      });
    },

    deposit(request, { requestHeader }) {
      const call = {
        scope: "shop.accounting.v1.AccountingService/Deposit",
        key: requestHeader.get(IDEMPOTENCY_KEY_HEADER),
        request,
        response: DepositResponseSchema,
      };
      return idempotent(db, call, async (tx) => {
        const { accountId, amountCents } = request;
        const { depositedCents } = await existing(tx, accountId);
        if (depositedCents + amountCents > MAX_DEPOSITED_CENTS) throw tooMuch();
        await deposit(tx, accountId, amountCents);
        return { account: await existing(tx, accountId) };
      });
    },

    async updateAccount({ accountId, disabled }) {
      const work = async (tx: Tx) => {
        const account = await existing(tx, accountId);
        if (disabled === undefined) return account;
        await setDisabled(tx, accountId, disabled);
        return { ...account, disabled };
      };
      return { account: await db.write(work, { canRerun: true }) };
    },

    async getAccount({ accountId }) {
      const account = await db.read((q) => getAccount(q, accountId), { consistency: callerConsistency(db) });
      if (account === undefined) throw notFound(resource(accountId));
      return { account };
    },
  };
}

/** The account, locked in this transaction. */
async function existing(tx: Tx, accountId: string): Promise<Account> {
  const account = await getAccount(tx, accountId, "FOR UPDATE");
  if (account === undefined) throw notFound(resource(accountId));
  return account;
}

function resource(accountId: string) {
  return { type: AccountSchema.typeName, name: accountId };
}

function tooMuch() {
  const description = `an account takes at most ${MAX_DEPOSITED_CENTS} cents in all`;
  return invalidArgument({ field: "amount_cents", description });
}
