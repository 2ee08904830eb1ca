/**
 * A cache for a service: values by key within a namespace, on the cache tier. It never breaks its caller: where the tier
 * does not answer in time, a read finds nothing, a write says false, and `getOrLoad` calls the loader.
 *
 *     const tier = createCacheTier({ resolver: mesh.resolver });
 *     const products = createCache<Product>({ tier, namespace: "products" });
 *     const product = await products.getOrLoad(sku, { ttlMs: 60_000, graceMs: 600_000, tags: ["prices"] }, () => load(sku));
 */
import { Ack, OperationKind, Status } from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { detached } from "../rpc/context.ts";
import { pack, unpack } from "./compress.ts";
import { operation, type Operation, type Result } from "./session-codec.ts";
import type { CacheMetrics } from "./metrics.ts";
import type { CacheTier, ExecuteOptions } from "./tier.ts";

/** How values become bytes. */
export interface ValueCodec<Value> {
  encode(value: Value): Uint8Array;
  /** Throws for bytes that it did not make; the entry then counts as missing. */
  decode(bytes: Uint8Array): Value;
}

/** Options of a cache. */
export interface CacheOptions<Value> {
  readonly tier: CacheTier;
  /** A namespace that the nodes are configured with. */
  readonly namespace: string;
  /** Default: JSON. */
  readonly codec?: ValueCodec<Value>;
  /** How long a read may take. Default 250 ms. */
  readonly readTimeoutMs?: number;
  /** How long a write may take. Default 2000 ms. */
  readonly writeTimeoutMs?: number;
  /** How many nodes must have applied a write. Default: as the namespace is configured. */
  readonly ack?: Ack;
  /**
   * `session`: this process sees at least what it wrote and read before; a hot key may be answered by a copy in this
   * process and a slow read by a replica. `primary`: always by the node that takes the writes. Default `session`.
   */
  readonly reads?: "primary" | "session";
  /**
   * How long what was read may be kept in this process and given again, with `session`; nodes tell when it is out of
   * date. In milliseconds, at most 2000. Default 0: only hot keys are kept.
   */
  readonly nearMs?: number;
  /** Hears what became of each operation. */
  readonly onOutcome?: (outcome: CacheOutcome) => void;
  readonly metrics?: CacheMetrics;
}

/** What became of an operation. `failed`: the tier did not answer, or refused. */
export type CacheOutcome = "hit" | "stale" | "miss" | "written" | "conflict" | "failed";

/** How an entry is kept. */
export interface EntryOptions {
  /** How long it is fresh, in milliseconds; at least 1. Default: for ever. */
  readonly ttlMs?: number;
  /** How long after that it may be served while it is loaded anew. Default 0. */
  readonly graceMs?: number;
  /** At most 8 names by which it can be invalidated. */
  readonly tags?: readonly string[];
}

/** Options of `getOrLoad`. */
export interface LoadOptions extends EntryOptions {
  /** How long to wait for another caller that loads the same value. Default 5000 ms; at most 10 000 ms. */
  readonly waitMs?: number;
}

/** A value and the version of its entry. */
export interface Versioned<Value> {
  readonly value: Value;
  readonly version: number;
}

/** What was found under a key, and who loads it if that is not enough. */
export interface Leased<Value> {
  /** Undefined: there is nothing that may be served. */
  readonly value: Value | undefined;
  /** `failed`: the tier did not answer, or refused; whether there is an entry is not known. */
  readonly state: "fresh" | "stale" | "missing" | "failed";
  /** Version of the entry, for `compareAndSet`. */
  readonly version: number;
  /**
   * Given to one caller at a time, who is asked to load the value now, and must call one of the two within 10 s.
   * Undefined: somebody else loads it, or it need not be loaded.
   */
  readonly loader: Loader<Value> | undefined;
}

/** Ends a lease. */
export interface Loader<Value> {
  /** Stores what was loaded. False if the entry or one of these tags was changed since the lease was given, or on failure. */
  store(value: Value, options?: EntryOptions): Promise<boolean>;
  /** There is nothing to store: whoever waits for it may load instead. */
  giveUp(): void;
}

/** A cache. */
export interface Cache<Value> {
  get(key: string): Promise<Value | undefined>;
  /** The value with its version, for `compareAndSet`. */
  getVersioned(key: string): Promise<Versioned<Value> | undefined>;
  /** The values that are there, by key. */
  getMany(keys: readonly string[]): Promise<Map<string, Value>>;
  /** True once as many nodes as configured have it. */
  set(key: string, value: Value, options?: EntryOptions): Promise<boolean>;
  /** True once as many nodes as configured know. */
  delete(key: string): Promise<boolean>;
  /**
   * Writes only if the entry still has this version; `undefined`: only if there is none. `won: undefined` if it is not
   * known, because the tier did not answer or was in doubt.
   */
  compareAndSet(
    key: string,
    version: number | undefined,
    value: Value,
    options?: EntryOptions,
  ): Promise<{ readonly won: boolean | undefined; readonly version: number }>;
  /**
   * The value if there is one, and a lease to load it if there is none, or if it is stale or about to expire. While another
   * caller has the lease, waits at most `waitMs`, at most 10 000 ms, for what that one stores. `stale`: a stale value will do.
   */
  lease(key: string, options: { readonly stale: boolean; readonly waitMs: number }): Promise<Leased<Value>>;
  /** The value, from the cache or else from the loader, which runs once at a time for all processes together. */
  getOrLoad(key: string, options: LoadOptions, loader: () => Promise<Value>): Promise<Value>;
  /**
   * Makes all entries with any of the tags invalid; with `soft` they are stale instead. True once every node knows;
   * false if some could not be told yet: they are, before they serve this part of the ring again.
   */
  invalidateTags(tags: readonly string[], options?: { readonly soft?: boolean }): Promise<boolean>;
}

const READ_TIMEOUT_MS = 250;
const WRITE_TIMEOUT_MS = 2000;
const WAIT_MS = 5000;
const MAX_TTL_MS = 0xffff_ffff;
const MAX_NEAR_MS = 2000;

/** Makes a cache. Throws TypeError for a namespace that cannot be one. */
export function createCache<Value>(options: CacheOptions<Value>): Cache<Value> {
  const { tier, namespace, readTimeoutMs = READ_TIMEOUT_MS, writeTimeoutMs = WRITE_TIMEOUT_MS } = options;
  const codec = options.codec ?? (jsonCodec as ValueCodec<Value>);
  if (!/^[a-z][a-z0-9-]{0,31}$/.test(namespace))
    throw new TypeError(`"${namespace}" cannot be a cache namespace`);
  const loading = new Map<string, Promise<Value>>();
  const how: ExecuteOptions = {
    reads: options.reads ?? "session",
    nearMs: duration("nearMs", options.nearMs ?? 0, 0, MAX_NEAR_MS),
  };
  const tell = (outcome: CacheOutcome) => {
    options.onOutcome?.(outcome);
    options.metrics?.outcome(namespace, outcome);
  };
  const keyBytes = (key: string) => Buffer.from(`${namespace}:${key}`, "utf8");

  function entryOf(key: string, value: Value, entry: EntryOptions): Operation {
    return operation({
      kind: OperationKind.SET,
      key: keyBytes(key),
      ...pack(codec.encode(value)),
      ttlMs: entry.ttlMs === undefined ? 0 : duration("ttlMs", entry.ttlMs, 1),
      graceMs: duration("graceMs", entry.graceMs ?? 0, 0),
      tags: entry.tags ?? [],
      ack: options.ack ?? Ack.UNSPECIFIED,
    });
  }

  function valueIn(answer: Result): Value | undefined {
    if (answer.status !== Status.OK && answer.status !== Status.STALE) return undefined;
    const bytes = unpack(answer);
    try {
      return bytes === undefined ? undefined : codec.decode(bytes);
    } catch {
      return undefined;
    }
  }

  async function read(key: string, more: Partial<Operation>, timeoutMs = readTimeoutMs): Promise<Result> {
    const answer = await tier.execute(
      operation({ kind: OperationKind.GET, key: keyBytes(key), ...more }),
      timeoutMs,
      how,
    );
    tell(readOutcome(answer.status));
    return answer;
  }

  async function write(op: Operation): Promise<Result> {
    const answer = await tier.execute(op, writeTimeoutMs);
    tell(writeOutcome(answer.status));
    return answer;
  }

  async function lease(
    key: string,
    { stale, waitMs }: { readonly stale: boolean; readonly waitMs: number },
  ): Promise<Leased<Value>> {
    const wait = duration("waitMs", waitMs, 0);
    const answer = await read(key, { lease: true, stale, waitMs: wait }, wait + readTimeoutMs);
    const { leaseToken, version } = answer;
    const value = valueIn(answer);
    const state = stateOf(readOutcome(answer.status), value !== undefined);
    const loader: Loader<Value> = {
      async store(loaded, entry = {}) {
        const { status } = await write({ ...entryOf(key, loaded, entry), leaseToken });
        return status === Status.OK;
      },
      giveUp() {
        const release = operation({ kind: OperationKind.RELEASE, key: keyBytes(key), leaseToken });
        void tier.execute(release, writeTimeoutMs);
      },
    };
    return { value, state, version, loader: leaseToken === 0 ? undefined : loader };
  }

  /** Loads the value, and stores it for whoever holds the lease: without one another caller may have changed it meanwhile. */
  async function load(
    leased: Loader<Value> | undefined,
    entry: EntryOptions,
    loader: () => Promise<Value>,
  ): Promise<Value> {
    let value: Value;
    try {
      value = await loader();
    } catch (error) {
      leased?.giveUp();
      throw error;
    }
    await leased?.store(value, entry);
    return value;
  }

  async function readOrLoad(key: string, entry: LoadOptions, loader: () => Promise<Value>): Promise<Value> {
    const found = await lease(key, { stale: (entry.graceMs ?? 0) > 0, waitMs: entry.waitMs ?? WAIT_MS });
    const { value } = found;
    if (value === undefined) return load(found.loader, entry, loader);
    if (found.loader !== undefined) {
      // This caller has its value; who comes later gets the new one.
      detached(() => void load(found.loader, entry, loader).catch(() => undefined));
    }
    return value;
  }

  return {
    get: async (key) => valueIn(await read(key, {})),
    async getVersioned(key) {
      const answer = await read(key, {});
      const value = valueIn(answer);
      return value === undefined ? undefined : { value, version: answer.version };
    },
    async getMany(keys) {
      const answers = await Promise.all(keys.map((key) => read(key, {})));
      const found = answers.map((answer, index) => [keys[index] as string, valueIn(answer)] as const);
      return new Map(found.filter((pair): pair is readonly [string, Value] => pair[1] !== undefined));
    },
    set: async (key, value, entry = {}) => (await write(entryOf(key, value, entry))).status === Status.OK,
    async delete(key) {
      const ack = options.ack ?? Ack.UNSPECIFIED;
      const op = operation({ kind: OperationKind.DELETE, key: keyBytes(key), ack });
      return (await write(op)).status === Status.OK;
    },
    async compareAndSet(key, version, value, entry = {}) {
      const condition = version === undefined ? { ifAbsent: true } : { ifVersion: version };
      const answer = await write({ ...entryOf(key, value, entry), ...condition });
      const isKnown = answer.status === Status.OK || answer.status === Status.CONFLICT;
      return { won: isKnown ? answer.status === Status.OK : undefined, version: answer.version };
    },
    lease,
    getOrLoad(key, entry, loader) {
      const running = loading.get(key);
      if (running !== undefined) return running;
      const started = readOrLoad(key, entry, loader).finally(() => loading.delete(key));
      loading.set(key, started);
      return started;
    },
    async invalidateTags(tags, { soft = false } = {}) {
      const op = operation({ kind: OperationKind.INVALIDATE, key: keyBytes(""), tags, stale: soft });
      return (await write(op)).status === Status.OK;
    },
  };
}

const jsonCodec: ValueCodec<unknown> = {
  encode: (value) => Buffer.from(JSON.stringify(value), "utf8"),
  decode: (bytes) =>
    JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8")) as unknown,
};

function duration(name: string, valueMs: number, leastMs: number, mostMs = MAX_TTL_MS): number {
  if (!(valueMs >= leastMs && valueMs <= mostMs)) {
    throw new TypeError(`${name} must be from ${leastMs} to ${mostMs}, not ${valueMs}`);
  }
  return Math.ceil(valueMs);
}

function readOutcome(status: Status): CacheOutcome {
  if (status === Status.OK) return "hit";
  if (status === Status.STALE) return "stale";
  return status === Status.MISS ? "miss" : "failed";
}

function stateOf(outcome: CacheOutcome, hasValue: boolean): Leased<unknown>["state"] {
  if (hasValue) return outcome === "hit" ? "fresh" : "stale";
  return outcome === "failed" ? "failed" : "missing";
}

function writeOutcome(status: Status): CacheOutcome {
  if (status === Status.OK) return "written";
  return status === Status.CONFLICT ? "conflict" : "failed";
}
