/**
 * Sends each attempt to one of the living instances of its service: least in flight of two random ones, never one that
 * the call has tried while there is another. The innermost policy: it ends at a connection.
 */
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { sleep, type Clock, type Random } from "../clock.ts";
import { rpcError } from "../errors.ts";
import type { Logger } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { InstanceSet, Resolver } from "../registry/instances.ts";
import { attempt, cancelledBy, unsent } from "./attempt.ts";
import type { Call, Send } from "./call.ts";
import { deadlineExceeded } from "./deadline.ts";
import type { Verdict } from "./eject.ts";
import { choose, type Choice, type Endpoint, type EndpointPool } from "./endpoints.ts";

/** What balancing needs. */
export interface BalanceOptions {
  readonly resolver: Resolver;
  readonly pool: EndpointPool;
  readonly log: Logger;
  readonly metrics: Metrics | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/** How long a call waits for the first answer about its service, before it fails with NO_ENDPOINT. */
const RESOLVE_TIMEOUT_MS = 5000;

/** The terminal of the pipeline. `signal` stops following the instance sets. */
export function balance(options: BalanceOptions, signal: AbortSignal): Send {
  const services = new Map<string, Service>();
  return (call) => {
    const target = call.method.target ?? call.method.service;
    let service = services.get(target);
    if (service === undefined) {
      service = followService(target, options, signal);
      services.set(target, service);
    }
    const endpoint = choose(service.choices(), call.tried, options.clock, options.random);
    if (endpoint !== undefined) return send(endpoint, call, options);
    return waitForEndpoint(service, call, options).then((found) => send(found, call, options));
  };
}

function send(endpoint: Endpoint, call: Call, { clock, log, metrics }: BalanceOptions): ReturnType<Send> {
  const { address } = endpoint.connection;
  call.tried?.add(address);
  endpoint.inFlight += 1;
  const measured = metrics?.clientAttempt(call.method);
  const tell = endpoint.ejector.begin(clock.monotonic());
  return attempt(endpoint.connection, call, (error) => {
    endpoint.inFlight -= 1;
    measured?.(error?.code);
    if (!tell(verdict(error), clock.monotonic())) return;
    metrics?.ejection(call.method.service);
    log.warn({ endpoint: address, rpc: call.method.path }, `endpoint ejected: ${error?.rawMessage}`);
  });
}

/** Failures that speak against the endpoint rather than against the request. */
function verdict(error: ConnectError | undefined): Verdict {
  if (error === undefined) return "success";
  if (error.code === Code.Canceled) return "neutral";
  return hardFailures.has(error.code) ? "failure" : "success";
}

const hardFailures: ReadonlySet<Code> = new Set([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

interface Service {
  readonly name: string;
  readonly set: InstanceSet;
  /** Endpoints of the instances there are now. */
  choices(): readonly Choice[];
}

/** Keeps the connections of a service in step with its instances. */
function followService(name: string, { resolver, pool }: BalanceOptions, signal: AbortSignal): Service {
  const set = resolver.watch(name);
  let seen: ReturnType<InstanceSet["current"]> = [];
  let current: Choice[] = [];

  function choices(): readonly Choice[] {
    const instances = set.current();
    if (instances === seen) return current;
    current = instances.map((instance) => ({
      endpoint: pool.acquire(instance),
      weight: Math.max(1, instance.weight),
    }));
    for (const gone of seen) pool.release(gone); // After the new ones, so that those in both stay connected.
    seen = instances;
    return current;
  }

  async function follow(): Promise<void> {
    for (;;) {
      choices();
      await set.changed(signal);
    }
  }
  follow().catch(() => undefined); // Rejects when the signal aborts: the channel is closed.
  return { name, set, choices };
}

/** The slow way: nothing is known of the service yet, or no connection is up. */
async function waitForEndpoint(service: Service, call: Call, options: BalanceOptions): Promise<Endpoint> {
  const stop = new AbortController();
  const giveUp = () => stop.abort();
  call.signal.addEventListener("abort", giveUp, { once: true });
  try {
    await resolved(service, call, options, stop.signal);
    for (;;) {
      const change = Promise.race([options.pool.changed(), service.set.changed(stop.signal)]);
      change.catch(() => undefined);
      const choices = service.choices();
      if (choices.length === 0) throw noEndpoint(service.name);
      const endpoint = choose(choices, call.tried, options.clock, options.random);
      if (endpoint !== undefined) return endpoint;
      if (choices.every(({ endpoint }) => isDown(endpoint))) throw unreachable(service.name, choices);
      await Promise.race([change, untilDeadline(call, options.clock, stop.signal)]);
      if (call.signal.aborted) throw cancelledBy(call.signal);
      if (options.clock.now() >= call.deadline) throw unsent(deadlineExceeded(call));
    }
  } catch (error) {
    throw call.signal.aborted ? cancelledBy(call.signal) : error;
  } finally {
    stop.abort();
    call.signal.removeEventListener("abort", giveUp);
  }
}

/** Waits for the resolver's first answer about the service. */
async function resolved(
  service: Service,
  call: Call,
  { resolver, clock }: BalanceOptions,
  signal: AbortSignal,
): Promise<void> {
  if (service.choices().length > 0) return;
  const patienceMs = Math.min(RESOLVE_TIMEOUT_MS, call.deadline - clock.now());
  await Promise.race([resolver.ready(service.name, signal), sleep(patienceMs, signal, clock)]);
}

function untilDeadline(call: Call, clock: Clock, signal: AbortSignal): Promise<void> {
  if (call.deadline === Infinity) return new Promise(() => undefined);
  return sleep(call.deadline - clock.now(), signal, clock).catch(() => undefined);
}

function isDown({ connection }: Endpoint): boolean {
  const state = connection.state();
  return state === "failing" || state === "closed";
}

function noEndpoint(service: string): ConnectError {
  const message = `no living instance of ${service} is known`;
  return unsent(rpcError(Code.Unavailable, Reason.NO_ENDPOINT, message));
}

function unreachable(service: string, choices: readonly Choice[]): ConnectError {
  const addresses = choices.map(({ endpoint }) => endpoint.connection.address).join(", ");
  const message = `no instance of ${service} can be reached (tried ${addresses})`;
  return unsent(rpcError(Code.Unavailable, Reason.CONNECT_FAILED, message));
}
