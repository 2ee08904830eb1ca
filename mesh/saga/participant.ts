/**
 * The barrier in front of a saga's participant. Calls of a saga may come twice, late, or in the wrong order; a row for
 * each (saga, step, operation), written in the transaction of its effects, decides what that means:
 *
 * - the same call again: the same answer again, nothing done;
 * - the compensation of an action that never came: nothing to undo, and the action is refused if it still comes;
 * - an action and its compensation at the same time: one waits for the other's row.
 *
 * The rules are those of DTM (https://en.dtm.pub/practice/barrier.html) with stored answers and fingerprints.
 */
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { RejectionSchema, type Branch } from "../../gen/ts/heddle/saga/v1/saga_pb.ts";
import { invalidArgument, rpcError } from "../errors.ts";
import type { Database, Tx } from "../sql/database.ts";
import { claim, keyReused } from "../sql/keyed.ts";
import { fingerprint } from "./fingerprint.ts";
import { rejectionError, rejectionOf } from "./rejection.ts";

/** One call of a participant's method. */
export interface ParticipantCall<Desc extends DescMessage> {
  /** Of the request; it must be there. */
  readonly branch: Branch | undefined;
  /** Name of the method. */
  readonly operation: string;
  /** The method that this one is the compensation of. */
  readonly undoes?: string;
  readonly request: Message;
  /** Schema of the response. */
  readonly response: Desc;
}

/** A service's part in sagas. */
export interface Participant {
  /**
   * Runs `work` in a transaction, once for each branch and operation. A rejection (`rejection(…)`) that it throws is kept
   * with the branch while what it wrote is undone; any other error leaves nothing behind.
   *
   * Rejects with ALREADY_COMPENSATED for an action that was undone before it came, with IDEMPOTENCY_KEY_REUSED for another
   * request under the same branch, and with IN_PROGRESS while the same call is still running.
   */
  run<Desc extends DescMessage>(
    call: ParticipantCall<Desc>,
    work: (tx: Tx) => Promise<MessageInitShape<Desc>>,
  ): Promise<MessageShape<Desc>>;
}

/** Makes a participant. Needs the platform's tables (`migrate`). */
export function createParticipant(db: Database): Participant {
  return {
    async run(call, work) {
      const key = keyOf(call);
      const answer = await db.write((tx) => decide(tx, key, call, work), { canRerun: true });
      if ("rejected" in answer) throw answer.rejected;
      return answer.response;
    },
  };
}

type Answer<T> = { readonly response: T } | { readonly rejected: ConnectError };

interface Key {
  readonly sagaId: string;
  readonly step: string;
  readonly operation: string;
  readonly fingerprint: Uint8Array;
}

function keyOf({ branch, operation, request }: ParticipantCall<DescMessage>): Key {
  if (branch === undefined) throw invalidArgument({ field: "branch", description: "must be set" });
  // The step is part of the key, so that it need not be part of what is compared.
  return { sagaId: branch.sagaId, step: branch.step, operation, fingerprint: fingerprint(request) };
}

async function decide<Desc extends DescMessage>(
  tx: Tx,
  key: Key,
  { undoes, response }: ParticipantCall<Desc>,
  work: (tx: Tx) => Promise<MessageInitShape<Desc>>,
): Promise<Answer<MessageShape<Desc>>> {
  if (!(await insertRow(tx, key, "done"))) return stored(tx, key, response);
  if (undoes !== undefined && !(await hasEffects(tx, { ...key, operation: undoes }))) {
    return { response: create(response) };
  }
  await tx.execute("SAVEPOINT work");
  try {
    const answer = create(response, await work(tx));
    await update(tx, key, "done", toBinary(response, answer));
    return { response: answer };
  } catch (error) {
    const rejection = rejectionOf(error);
    if (rejection === undefined) throw error;
    await tx.execute("ROLLBACK TO SAVEPOINT work");
    await update(tx, key, "rejected", toBinary(RejectionSchema, rejection));
    return { rejected: error as ConnectError };
  }
}

type Outcome = "done" | "rejected" | "undone";

interface Row {
  readonly outcome: Outcome;
  readonly fingerprint: Uint8Array;
  readonly response: Uint8Array | null;
}

/** Tells whether the row is new. If another call is writing it, waits for that. */
function insertRow(
  tx: Tx,
  { sagaId, step, operation, fingerprint }: Key,
  outcome: Outcome,
): Promise<boolean> {
  return claim(() =>
    tx.execute(
      "INSERT INTO barrier (saga_id, step, operation, outcome, fingerprint) VALUES (?, ?, ?, ?, ?)",
      [sagaId, step, operation, outcome, fingerprint],
    ),
  );
}

/** Whether the action took effect. If it never came, from now on it is refused. */
async function hasEffects(tx: Tx, action: Key): Promise<boolean> {
  if (await insertRow(tx, { ...action, fingerprint: new Uint8Array() }, "undone")) return false;
  return (await row(tx, action)).outcome === "done";
}

async function stored<Desc extends DescMessage>(
  tx: Tx,
  key: Key,
  response: Desc,
): Promise<Answer<MessageShape<Desc>>> {
  const found = await row(tx, key);
  if (found.outcome === "undone") throw alreadyCompensated(key);
  if (Buffer.compare(found.fingerprint, key.fingerprint) !== 0) {
    throw keyReused(`${key.sagaId}/${key.step}/${key.operation}`);
  }
  const bytes = found.response ?? new Uint8Array();
  if (found.outcome === "rejected") return { rejected: rejectionError(fromBinary(RejectionSchema, bytes)) };
  return { response: fromBinary(response, bytes) };
}

async function row(tx: Tx, { sagaId, step, operation }: Key): Promise<Row> {
  const [found] = await tx.query<Row>(
    "SELECT outcome, fingerprint, response FROM barrier WHERE saga_id = ? AND step = ? AND operation = ?",
    [sagaId, step, operation],
  );
  if (found === undefined) throw new Error(`the barrier row of ${sagaId}/${step}/${operation} has vanished`);
  return found;
}

async function update(
  tx: Tx,
  { sagaId, step, operation }: Key,
  outcome: Outcome,
  response: Uint8Array,
): Promise<void> {
  await tx.execute(
    "UPDATE barrier SET outcome = ?, response = ? WHERE saga_id = ? AND step = ? AND operation = ?",
    [outcome, response, sagaId, step, operation],
  );
}

function alreadyCompensated({ sagaId, step, operation }: Key): ConnectError {
  const message = `${operation} of ${sagaId}/${step} was undone before it came; it must not happen any more`;
  return rpcError(Code.FailedPrecondition, Reason.ALREADY_COMPENSATED, message);
}
