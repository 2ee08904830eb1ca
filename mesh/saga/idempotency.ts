/**
 * Public calls that a caller may repeat under an `Idempotency-Key`, with the semantics of the IETF draft
 * (draft-ietf-httpapi-idempotency-key-header): the same key with the same request gives the first one's answer, with
 * another request it is refused, and while the first one still runs the second is told to come back.
 */
import { randomUUID } from "node:crypto";
import {
  fromBinary,
  toBinary,
  type DescMessage,
  type Message,
  type MessageInitShape,
  type MessageShape,
  create,
} from "@bufbuild/protobuf";
import { invalidArgument } from "../errors.ts";
import type { Database, Tx } from "../sql/database.ts";
import { once, type Codec } from "../sql/keyed.ts";
import { fingerprint } from "./fingerprint.ts";

/** The header, or metadata, that holds the key. */
export const IDEMPOTENCY_KEY_HEADER = "idempotency-key";

/** One call. */
export interface IdempotentCall<Desc extends DescMessage> {
  /** Whose keys these are: the method, with the identity of the caller where there is one. At most 128 characters. */
  readonly scope: string;
  /**
   * Value of the header. Null or empty: the call has none. Then it runs each time, under a key of its own, by which a
   * commit whose answer was lost is found out.
   */
  readonly key: string | null | undefined;
  readonly request: Message;
  /** Schema of the response. */
  readonly response: Desc;
}

/** Runs `work` in a transaction, once for each key. Rejects with IDEMPOTENCY_KEY_REUSED and IN_PROGRESS. */
export async function idempotent<Desc extends DescMessage>(
  db: Database,
  { scope, key, request, response }: IdempotentCall<Desc>,
  work: (tx: Tx) => Promise<MessageInitShape<Desc>>,
): Promise<MessageShape<Desc>> {
  const run = async (tx: Tx) => create(response, await work(tx));
  const write = { scope, key: key ? parseKey(key) : randomUUID(), fingerprint: fingerprint(request) };
  return db.write((tx) => once(tx, write, messageCodec(response), run), { canRerun: true });
}

/** The draft makes the key a structured string, in quotes; most callers leave them away. */
function parseKey(header: string): string {
  const key = /^"(.*)"$/.exec(header.trim())?.[1] ?? header.trim();
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw invalidArgument({
    field: IDEMPOTENCY_KEY_HEADER,
    description: "must be 1 to 255 printable ASCII characters without spaces",
  });
}

function messageCodec<Desc extends DescMessage>(schema: Desc): Codec<MessageShape<Desc>> {
  return { encode: (message) => toBinary(schema, message), decode: (bytes) => fromBinary(schema, bytes) };
}
