/**
 * Writes that happen once for each key. A row with the key is written in the same transaction as their effects, so that
 * it tells, whatever happened to the connection, whether they took place, and what the answer was.
 */
import { Code } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../errors.ts";
import { isDuplicateKey, KeyBusy, SqlError } from "./errors.ts";
import type { Tx } from "./queryable.ts";

/** How the answer of a write is stored with its key. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** Which write it is. */
export interface WriteKey {
  /** Whose keys these are, such as a method's name with the caller's identity; at most 128 characters. */
  readonly scope: string;
  /** At most 255 characters. */
  readonly key: string;
  /** Digest of the request, at most 32 bytes: another request under the same key is refused. */
  readonly fingerprint?: Uint8Array;
}

/** Stores answers as JSON. */
export function jsonCodec<T>(): Codec<T> {
  return {
    encode: (value) => Buffer.from(JSON.stringify(value)),
    decode: (bytes) => JSON.parse(Buffer.from(bytes).toString("utf8")) as T,
  };
}

/**
 * Runs `work`, or answers what it answered before. Rejects with IDEMPOTENCY_KEY_REUSED for another request under the same
 * key, and with KeyBusy, after which the transaction is worth another try, while the first one still runs.
 */
export async function once<T>(
  tx: Tx,
  { scope, key, fingerprint = new Uint8Array() }: WriteKey,
  codec: Codec<T>,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  const isFirst = await claim(() =>
    tx.execute("INSERT INTO idempotency (scope, idempotency_key, fingerprint) VALUES (?, ?, ?)", [
      scope,
      key,
      fingerprint,
    ]),
  );
  if (!isFirst) return stored(tx, { scope, key, fingerprint }, codec);
  const value = await work(tx);
  if (value !== undefined) {
    await tx.execute("UPDATE idempotency SET response = ? WHERE scope = ? AND idempotency_key = ?", [
      codec.encode(value),
      scope,
      key,
    ]);
  }
  return value;
}

/** Inserts the row that makes a call the first one of its key; tells whether it is. */
export async function claim(insert: () => Promise<unknown>): Promise<boolean> {
  try {
    await insert();
    return true;
  } catch (error) {
    if (isDuplicateKey(error)) return false;
    throw error instanceof SqlError && error.errno === 1205 ? new KeyBusy(error) : error;
  }
}

interface Row {
  readonly fingerprint: Uint8Array;
  readonly response: Uint8Array | null;
}

async function stored<T>(
  tx: Tx,
  { scope, key, fingerprint }: Required<WriteKey>,
  codec: Codec<T>,
): Promise<T> {
  const [row] = await tx.query<Row>(
    "SELECT fingerprint, response FROM idempotency WHERE scope = ? AND idempotency_key = ?",
    [scope, key],
  );
  if (row === undefined)
    throw new Error(`the row of the idempotency key ${JSON.stringify(key)} has vanished`);
  if (Buffer.compare(row.fingerprint, fingerprint) !== 0) throw keyReused(key);
  return row.response === null ? (undefined as T) : codec.decode(row.response);
}

/** The key was used before with another request. */
export function keyReused(key: string): Error {
  const message = `the idempotency key ${JSON.stringify(key)} was used before with another request; use a new key`;
  return rpcError(Code.FailedPrecondition, Reason.IDEMPOTENCY_KEY_REUSED, message);
}
