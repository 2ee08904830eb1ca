/**
 * The registry in Redis, shared by all gateways that use the same keys. Any of them may fail at any time: each write is
 * one script, nobody leads. Keys have one hash tag, so that a cluster keeps them together.
 */
import { readFileSync } from "node:fs";
import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { Redis, type RedisOptions } from "ioredis";
import { ulid } from "ulid";
import { Reason } from "../../../gen/ts/heddle/error/v1/error_pb.ts";
import { InstanceSchema, type Instance } from "../../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { messageOf, rpcError } from "../../../mesh/errors.ts";
import { abortable } from "../../../mesh/registry/abortable.ts";
import { reconnectDelayMs } from "../../../mesh/registry/backoff.ts";
import { withSuspect } from "../../../mesh/registry/known-instances.ts";
import { asStored } from "../machine.ts";
import {
  DEFAULT_LEASE_MS,
  DELTA_LOG_LENGTH,
  MIN_LEASE_MS,
  suspectAfterMs,
  unattendedAfterMs,
  type Change,
  type Command,
  type Outcome,
  type Store,
} from "../store.ts";

/** Options of the store. */
export interface RedisStoreOptions {
  /** For example `redis://127.0.0.1:6390`. */
  readonly url: string;
  /** Prefix of all keys. Default `heddle`. */
  readonly keyPrefix?: string;
  /** The lease of instances that ask for none. Default 15 000. The same for all gateways that share the store. */
  readonly leaseMs?: number;
  /** Changes that are remembered, about. Default 10 000. */
  readonly logLength?: number;
}

/** How long a read of changes blocks. */
const BLOCK_MS = 1000;

/** An answer that takes longer than this does not come: the store counts as away. */
const ANSWER_MS = 500;

/** A connection that says nothing for this long, with a command on it, is dead. */
const SILENCE_MS = 3000;

const script = readFileSync(new URL("registry.lua", import.meta.url), "utf8");

/** Connects to Redis and stays connected, or comes back; commands fail at once in between. */
export function createRedisStore(options: RedisStoreOptions): Store {
  const { url, keyPrefix = "heddle", leaseMs = DEFAULT_LEASE_MS, logLength = DELTA_LOG_LENGTH } = options;
  const keys = ["instances", "leases", "beats", "suspects", "meta", "deltas"].map(
    (key) => `{${keyPrefix}:registry}:${key}`,
  );
  const deltas = keys.at(-1) ?? "";
  const writer = connect(url, { commandTimeout: ANSWER_MS });
  /** XREAD blocks its connection, so it has one of its own. */
  const reader = connect(url, {});

  const evaluate = <Reply>(command: string, id = "", incarnation = "0", instance = ""): Promise<Reply> =>
    answered(writer, ({ redis }) => {
      const shares = [suspectAfterMs(1), unattendedAfterMs(1)];
      const rules = [leaseMs, Math.min(leaseMs, MIN_LEASE_MS), ...shares, logLength];
      return redis.heddleRegistry(
        ...keys,
        command,
        ulid(),
        ...rules,
        id,
        incarnation,
        instance,
      ) as Promise<Reply>;
    });

  return {
    async write(command) {
      const [outcome, epoch, number] = await evaluate<[Outcome, string, number]>(...scriptArguments(command));
      return { outcome, revision: { epoch, number } };
    },
    async snapshot() {
      const [epoch, number, byId, ids] = await evaluate<[string, number, string[], string[]]>("snapshot");
      const suspects = new Set(ids);
      const all = byId
        .filter((_, index) => index % 2 === 1)
        .map((json) => fromJsonString(InstanceSchema, json));
      const instances = all.map((instance) => withSuspect(instance, suspects.has(instance.instanceId)));
      return { revision: { epoch, number }, instances };
    },
    async changes({ epoch, number }, signal) {
      const read = ({ redis }: Connection) =>
        redis.xread("BLOCK", BLOCK_MS, "STREAMS", deltas, `${number}-0`);
      const reply = await abortable(answered(reader, read), signal);
      const entries = reply?.[0]?.[1] ?? [];
      const contiguous = entries.every(([id], index) => id === `${number + 1 + index}-0`);
      const records = entries.map(([, fields]) => pairs(fields));
      if (!contiguous || records.some((record) => record["epoch"] !== epoch)) return undefined;
      return records.map((record, index) => changeOf(number + 1 + index, record));
    },
    close() {
      writer.redis.disconnect();
      reader.redis.disconnect();
      return Promise.resolve();
    },
  };
}

interface Connection {
  readonly redis: RedisWithScript;
  /** Resolves when the first attempt to connect is over, however it went. */
  readonly attempted: Promise<unknown>;
}

/** Redis with our script as a command. */
interface RedisWithScript extends Redis {
  heddleRegistry(...keysAndArguments: readonly (string | number)[]): Promise<unknown>;
}

function connect(url: string, options: Pick<RedisOptions, "commandTimeout">): Connection {
  const redis = new Redis(url, {
    ...options,
    lazyConnect: true,
    connectTimeout: SILENCE_MS,
    socketTimeout: SILENCE_MS,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => reconnectDelayMs(times, Math.random),
    // After a failover the old primary is read-only: find the new one.
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
  }) as RedisWithScript;
  redis.defineCommand("heddleRegistry", { lua: script, numberOfKeys: 6 });
  // Every command reports its own failure; without a listener ioredis would print each lost connection.
  redis.on("error", () => undefined);
  return { redis, attempted: redis.connect().catch(() => undefined) };
}

async function answered<Reply>(
  connection: Connection,
  command: (connection: Connection) => Promise<Reply>,
): Promise<Reply> {
  await connection.attempted;
  try {
    return await command(connection);
  } catch (error) {
    throw storeUnavailable(connection.redis, error);
  }
}

function storeUnavailable({ options, status }: Redis, cause: unknown): ConnectError {
  // What ioredis says while it is not connected is about its own options.
  const problem = status === "ready" ? messageOf(cause) : "not connected";
  const message = `the registry's store, Redis at ${options.host}:${options.port}, does not answer: ${problem}`;
  return rpcError(Code.Unavailable, Reason.STORE_UNAVAILABLE, message, { cause });
}

function scriptArguments(
  command: Command,
): [kind: string, id?: string, incarnation?: string, instance?: string] {
  if (command.kind === "reap") return ["reap"];
  if (command.kind !== "register") return [command.kind, command.instanceId, String(command.incarnation)];
  const instance = asStored(command.instance);
  return ["register", instance.instanceId, String(instance.incarnation), canonicalJson(instance)];
}

/** The same text for the same instance, so that the script can tell whether it has changed. */
function canonicalJson(instance: Instance): string {
  const labels = Object.entries(instance.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return toJsonString(InstanceSchema, { ...instance, labels: Object.fromEntries(labels) });
}

function pairs(fields: readonly string[]): Readonly<Record<string, string>> {
  const record: Record<string, string> = {};
  for (let index = 0; index + 1 < fields.length; index += 2)
    record[fields[index] ?? ""] = fields[index + 1] ?? "";
  return record;
}

function changeOf(number: number, record: Readonly<Record<string, string>>): Change {
  const { removed, deregistered, instance = "{}", suspect } = record;
  if (removed !== undefined) {
    return { number, kind: "remove", instanceId: removed, deregistered: deregistered === "1" };
  }
  return {
    number,
    kind: "upsert",
    instance: withSuspect(fromJsonString(InstanceSchema, instance), suspect === "1"),
  };
}
