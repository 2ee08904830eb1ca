/** The barrier of saga participants and idempotent public calls, against a real member. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestGroup, type TestGroup } from "../../infra/mysql/testing.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { BranchSchema } from "../../gen/ts/heddle/saga/v1/saga_pb.ts";
import {
  DepositRequestSchema,
  DepositResponseSchema,
} from "../../gen/ts/shop/accounting/v1/accounting_service_pb.ts";
import { seededRandom } from "../../mesh/clock.ts";
import { hasReason } from "../../mesh/errors.ts";
import { idempotent } from "../../mesh/saga/idempotency.ts";
import { createParticipant, type Participant } from "../../mesh/saga/participant.ts";
import { rejection, rejectionOf } from "../../mesh/saga/rejection.ts";
import { createDatabase, type Database, type Tx } from "../../mesh/sql/database.ts";
import { migrate } from "../../mesh/sql/migrate.ts";
import { forget } from "../../mesh/sql/retention.ts";

let group: TestGroup;
let db: Database;
let participant: Participant;
let folder: string;
let saga = 0;

beforeAll(async () => {
  group = await startTestGroup();
  folder = await mkdtemp(join(tmpdir(), "heddle-migrations-"));
  await writeFile(
    join(folder, "001_holds.sql"),
    "CREATE TABLE holds (saga VARCHAR(64) PRIMARY KEY, held INT NOT NULL, times INT NOT NULL DEFAULT 1);",
  );
  const password = await group.password("order");
  db = createDatabase({ seeds: group.seeds, database: "order", user: "order", password });
  await migrate(db, folder);
  participant = createParticipant(db);
});

afterAll(async () => {
  await db?.close(100);
  await group?.stop();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(() => void saga++);

const id = () => `saga-${saga}`;

function call(operation: string, work: (tx: Tx) => Promise<void>, amount = 5, undoes?: string) {
  const request = create(DepositRequestSchema, { accountId: "a", amountCents: BigInt(amount) });
  const branch = create(BranchSchema, { sagaId: id(), step: "hold" });
  return participant
    .run(
      {
        branch,
        operation,
        request,
        response: DepositResponseSchema,
        ...(undoes !== undefined && { undoes }),
      },
      async (tx) => {
        await work(tx);
        return { account: { accountId: "a", balanceCents: BigInt(amount) } };
      },
    )
    .then(
      ({ account }) => account?.balanceCents ?? "nothing",
      (error: unknown) => error,
    );
}

/** Holds once; a second time would show in `times`. */
const hold = (amount?: number) =>
  call(
    "Hold",
    async (tx) => {
      const again = "ON DUPLICATE KEY UPDATE held = 1, times = times + 1";
      await tx.execute(`INSERT INTO holds (saga, held) VALUES (?, 1) ${again}`, [id()]);
    },
    amount,
  );

const undo = () =>
  call(
    "Undo",
    async (tx) => void (await tx.execute("UPDATE holds SET held = 0 WHERE saga = ?", [id()])),
    5,
    "Hold",
  );

async function held(): Promise<unknown> {
  const [row] = await db.read((q) => q.query<object>("SELECT held, times FROM holds WHERE saga = ?", [id()]));
  return row === undefined ? "never" : { ...row };
}

describe("participant", () => {
  test("does the same call once, and gives the same answer again", async () => {
    expect([await hold(), await hold(), await undo(), await undo()]).toEqual([5n, 5n, 5n, 5n]);
    expect(await held()).toEqual({ held: 0, times: 1 });
  });

  test("refuses another request under the same branch", async () => {
    await hold(5);
    expect(hasReason(await hold(6), Reason.IDEMPOTENCY_KEY_REUSED)).toBe(true);
  });

  test("has nothing to undo for an action that never came, and refuses it when it comes late", async () => {
    expect(await undo()).toBe("nothing");
    expect(hasReason(await hold(), Reason.ALREADY_COMPENSATED)).toBe(true);
    expect(await undo()).toBe("nothing");
    expect(await held()).toBe("never");
  });

  test("keeps a rejection while what was written before it is undone", async () => {
    let runs = 0;
    const refuse = () =>
      call("Hold", async (tx) => {
        runs++;
        await tx.execute("INSERT INTO holds (saga, held) VALUES (?, 1)", [id()]);
        throw rejection("CARD_DECLINED", "the card was declined");
      });
    for (const answer of [await refuse(), await refuse()]) {
      expect(rejectionOf(answer)).toMatchObject({
        reason: "CARD_DECLINED",
        message: "the card was declined",
      });
    }
    expect(runs).toBe(1);
    expect(await held()).toBe("never");
  });

  test("has nothing to undo for an action that was rejected", async () => {
    await call("Hold", () => Promise.reject(rejection("CARD_DECLINED", "no")));
    expect(await undo()).toBe("nothing");
  });

  test("leaves nothing behind after any other error, so that it can be tried again", async () => {
    const broken = new Error("broken");
    expect(await call("Hold", () => Promise.reject(broken))).toBe(broken);
    expect(await hold()).toBe(5n);
    expect(await held()).toEqual({ held: 1, times: 1 });
  });

  test("wants to know the branch", async () => {
    const request = create(DepositRequestSchema, {});
    const run = participant.run(
      { branch: undefined, operation: "Hold", request, response: DepositResponseSchema },
      async () => ({}),
    );
    await expect(run).rejects.toThrow("branch: must be set");
  });

  test("calls that race end as if they had come one after the other", async () => {
    const random = seededRandom(20261121);
    for (let round = 0; round < 40; round++) {
      saga++;
      const calls = [hold, undo, hold, undo, hold].sort(() => random() - 0.5);
      const answers = await Promise.all(calls.map((each) => each()));
      const end = await held();
      const holds = answers.filter((_, i) => calls[i] === hold);
      // Either the action came first and was undone, or it was refused for ever. Nothing is left held.
      if (end === "never")
        expect(holds.every((each) => hasReason(each, Reason.ALREADY_COMPENSATED))).toBe(true);
      else expect({ end, holds }).toEqual({ end: { held: 0, times: 1 }, holds: [5n, 5n, 5n] });
    }
  });
});

describe("idempotent", () => {
  const deposit = (key: string | null, amount: number, work = async () => undefined as unknown) =>
    idempotent(
      db,
      {
        scope: "Deposit",
        key,
        request: create(DepositRequestSchema, { accountId: "a", amountCents: BigInt(amount) }),
        response: DepositResponseSchema,
      },
      async (tx) => {
        await work();
        const again = "ON DUPLICATE KEY UPDATE times = times + 1";
        await tx.execute(`INSERT INTO holds (saga, held) VALUES (?, 1) ${again}`, [id()]);
        return { account: { balanceCents: BigInt(amount) } };
      },
    ).then(
      ({ account }) => account?.balanceCents,
      (error: unknown) => error,
    );

  test("runs once for each key, also when called at the same time", async () => {
    const key = `key-${saga}`;
    expect(await Promise.all([deposit(key, 5), deposit(key, 5), deposit(key, 5)])).toEqual([5n, 5n, 5n]);
    expect(await deposit(`"${key}"`, 5)).toBe(5n);
    expect(await held()).toEqual({ held: 1, times: 1 });
  });

  test("refuses another request under the same key", async () => {
    const key = `key-${saga}`;
    await deposit(key, 5);
    expect(hasReason(await deposit(key, 6), Reason.IDEMPOTENCY_KEY_REUSED)).toBe(true);
  });

  test("keeps nothing of a call that failed", async () => {
    const key = `key-${saga}`;
    const broken = new Error("broken");
    expect(await deposit(key, 5, () => Promise.reject(broken))).toBe(broken);
    expect(await deposit(key, 6)).toBe(6n);
  });

  test("runs each time without a key", async () => {
    expect([await deposit(null, 5), await deposit("", 5)]).toEqual([5n, 5n]);
    expect(await held()).toEqual({ held: 1, times: 2 });
  });

  test.each(["with space", "x".repeat(256), "ünïcode"])("refuses the key %j", async (key) => {
    expect(hasReason(await deposit(key, 5), Reason.INVALID_FIELD)).toBe(true);
  });
});

describe("forget", () => {
  test("deletes keys and saga steps that are older, in batches, and keeps the others", async () => {
    const rows = Array.from({ length: 2500 }, (_, i) => ["Old", `old-${i}`, Buffer.alloc(0), "2020-01-01"]);
    const keys = "INSERT INTO idempotency (scope, idempotency_key, fingerprint, created_at) VALUES ?";
    await db.write((tx) => tx.execute(keys.replace("?", rows.map(() => "(?)").join(",")), rows));
    await hold();
    const steps = "UPDATE barrier SET created_at = '2020-01-01' WHERE saga_id = ?";
    await db.write((tx) => tx.execute(steps, [id()]));
    saga++;
    await hold();
    await forget(db, 3_600_000, new AbortController().signal);
    const count = async (sql: string, of: string) =>
      (await db.read((q) => q.query<{ n: number }>(`SELECT COUNT(*) AS n FROM ${sql} = ?`, [of])))[0]!.n;
    expect(await count("idempotency WHERE scope", "Old")).toBe(0);
    expect(await count("barrier WHERE saga_id", `saga-${saga - 1}`)).toBe(0);
    expect(await count("barrier WHERE saga_id", id())).toBe(1);
  });
});
