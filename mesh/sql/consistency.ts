/**
 * Read your writes, across services: each write leaves a token, the GTID set of its transaction, that travels with the
 * call tree as metadata, one for each schema. A read with `session` consistency waits until the member it asks has
 * everything in the token. Tokens come from outside: whatever is wrong with them costs one wait at most, never an error.
 *
 * `x-heddle-db-token: order=3f6a2b52-…:1-5:9, inventory=3f6a2b52-…:7`
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { ConnectError, createContextKey, type Interceptor, type StreamResponse } from "@connectrpc/connect";
import { servedCall } from "../rpc/context.ts";
import { formatGtidSet, isSubset, noGtids, parseGtidSet, simplified, unionOf, type GtidSet } from "./gtid.ts";

/** The metadata that carries tokens: in requests what to wait for, in trailers what was written. */
export const TOKEN_HEADER = "x-heddle-db-token";

/** More intervals than this are never sent for one schema; a few gaps are filled instead. */
const MAX_INTERVALS = 8;
/** A longer header is nobody's honest token. */
const MAX_HEADER_LENGTH = 4096;
const MAX_SCHEMAS = 32;
const ENTRY = /^([\w$-]{1,64})=(.+)$/;

/** The tokens of one call tree. */
export class Tokens {
  readonly #sets = new Map<string, GtidSet>();
  /** Schemas whose token grew since the tokens came in. */
  readonly #grown = new Set<string>();

  /** What a read of the schema must see. */
  of(schema: string): GtidSet {
    return this.#sets.get(schema) ?? noGtids;
  }

  /** Adds what was written, or what a reply says was written. */
  add(schema: string, gtids: GtidSet): void {
    const known = this.of(schema);
    if (isSubset(gtids, known) || (!this.#sets.has(schema) && this.#sets.size >= MAX_SCHEMAS)) return;
    this.#sets.set(schema, simplified(unionOf(known, gtids), MAX_INTERVALS));
    this.#grown.add(schema);
  }

  /** Adds a header of a request or a trailer of a reply. What is malformed in it is left out. */
  read(header: string | null): void {
    if (header === null || header.length > MAX_HEADER_LENGTH) return;
    for (const [schema, gtids] of entries(header)) this.add(schema, gtids);
  }

  /** Marks everything as known to the caller. */
  settle(): void {
    this.#grown.clear();
  }

  /** The header of a request, with all tokens; undefined if there are none. */
  header(): string | undefined {
    return this.#format(this.#sets.keys());
  }

  /** The trailer of a reply, with the tokens that grew; undefined if none did. */
  trailer(): string | undefined {
    return this.#format(this.#grown);
  }

  #format(schemas: Iterable<string>): string | undefined {
    const text = [...schemas].flatMap((schema) =>
      [...this.of(schema)].map((source) => `${schema}=${formatGtidSet(new Map([source]))}`),
    );
    return text.length === 0 ? undefined : text.join(", ");
  }
}

function* entries(header: string): Generator<readonly [schema: string, gtids: GtidSet]> {
  for (const entry of header.split(",")) {
    const match = ENTRY.exec(entry.trim());
    if (match === null) continue;
    try {
      yield [match[1]!, parseGtidSet(match[2]!)];
    } catch {
      // Malformed: as if it were not there.
    }
  }
}

const contextKey = createContextKey<Tokens | undefined>(undefined, { description: "database tokens" });
const sessions = new AsyncLocalStorage<Tokens>();

/** The tokens of the call being served, or of the session around; undefined outside of both. */
export function currentTokens(): Tokens | undefined {
  const session = sessions.getStore();
  if (session !== undefined) return session;
  const values = servedCall()?.values;
  if (values === undefined) return undefined;
  const known = values.get(contextKey);
  if (known !== undefined) return known;
  const tokens = new Tokens();
  values.set(contextKey, tokens);
  return tokens;
}

/** Runs `work` so that its reads see its own writes, outside of any served call: in a script, a worker or a test. */
export function inSession<T>(work: () => T, tokens: Tokens = new Tokens()): T {
  return sessions.run(tokens, work);
}

/** For a server: takes tokens from the request, and gives those that grew back in the trailer, also of an error. */
export function tokenServerInterceptor(): Interceptor {
  return (next) => async (request) => {
    const header = request.header.get(TOKEN_HEADER);
    if (header !== null) {
      const tokens = new Tokens();
      tokens.read(header);
      tokens.settle();
      request.contextValues.set(contextKey, tokens);
    }
    const grown = () => request.contextValues.get(contextKey)?.trailer();
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: telling(response, grown) };
      tell(response.trailer, grown());
      return response;
    } catch (error) {
      throw withTokens(error, grown());
    }
  };
}

/** The metadata of an error that came over the wire stays on that hop, so that tokens need an error of this one. */
function withTokens(error: unknown, tokens: string | undefined): unknown {
  if (!(error instanceof ConnectError) || tokens === undefined) return error;
  const metadata = error.isWireError ? new Headers() : error.metadata;
  metadata.set(TOKEN_HEADER, tokens);
  if (!error.isWireError) return error;
  const own = new ConnectError(error.rawMessage, error.code, metadata, undefined, error.cause);
  own.details = error.details;
  return own;
}

async function* telling(
  response: StreamResponse,
  grown: () => string | undefined,
): StreamResponse["message"] {
  try {
    yield* response.message;
  } catch (error) {
    throw withTokens(error, grown());
  }
  tell(response.trailer, grown());
}

function tell(trailer: Headers, tokens: string | undefined): void {
  if (tokens !== undefined) trailer.set(TOKEN_HEADER, tokens);
}

/** For a client: sends the tokens of the call tree, and keeps those that come back, also with an error. */
export function tokenClientInterceptor(): Interceptor {
  return (next) => async (request) => {
    const tokens = currentTokens();
    if (tokens === undefined) return next(request);
    const header = tokens.header();
    if (header !== undefined && !request.header.has(TOKEN_HEADER)) request.header.set(TOKEN_HEADER, header);
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: learning(response, tokens) };
      tokens.read(response.trailer.get(TOKEN_HEADER));
      return response;
    } catch (error) {
      if (error instanceof ConnectError) tokens.read(error.metadata.get(TOKEN_HEADER));
      throw error;
    }
  };
}

async function* learning(response: StreamResponse, tokens: Tokens): StreamResponse["message"] {
  try {
    yield* response.message;
  } catch (error) {
    if (error instanceof ConnectError) tokens.read(error.metadata.get(TOKEN_HEADER));
    throw error;
  }
  tokens.read(response.trailer.get(TOKEN_HEADER));
}
