/**
 * Metrics of a process, in its own registry. Names and labels of calls are those of go-grpc-prometheus, so that
 * dashboards made for it work. Addresses of endpoints are never labels: they would grow without bound.
 */
import { Code } from "@connectrpc/connect";
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { MethodInfo } from "../rpc/call.ts";

/** What the mesh counts. Services add their own to `registry`. */
export interface Metrics {
  /** Everything that `/metrics` shows. */
  readonly registry: Registry;
  /** A call began to be served; call what it returns once, with its code, when it is over. */
  serverCall(method: MethodInfo): CallEnd;
  /** A call was made, with all its attempts. */
  clientCall(method: MethodInfo): CallEnd;
  /** One attempt of a call was sent to an endpoint. */
  clientAttempt(method: MethodInfo): CallEnd;
  /** An endpoint was taken out of rotation. */
  ejection(service: string): void;
  /** What is left of a service's retry budget, from 0 to 1. */
  retryBudget(service: string, ratio: number): void;
}

/** Ends a measurement. `code` is undefined for OK. */
export type CallEnd = (code?: Code) => void;

/** From 100 µs to 100 s; 16 of the bounds of gRFC A66. */
const secondsBuckets = [
  0.0001, 0.0003, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 20, 100,
];

const methodLabels = ["grpc_type", "grpc_service", "grpc_method"] as const;

/** Makes the metrics of a process. `process: false` leaves out those of Node itself. */
export function createMetrics(options: { readonly process?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (options.process !== false) collectDefaultMetrics({ register: registry });
  const ejections = new Counter({
    name: "mesh_lb_ejections_total",
    help: "Endpoints taken out of rotation.",
    labelNames: ["grpc_service"],
    registers: [registry],
  });
  const budget = new Gauge({
    name: "mesh_retry_budget_ratio",
    help: "What is left of the retry budget, from 0 to 1.",
    labelNames: ["grpc_service"],
    registers: [registry],
  });
  return {
    registry,
    serverCall: callMeter(registry, "grpc_server", "Calls served"),
    clientCall: callMeter(registry, "grpc_client", "Calls made"),
    clientAttempt: callMeter(registry, "grpc_client_attempt", "Attempts sent to an endpoint"),
    ejection: (service) => ejections.inc({ grpc_service: service }),
    retryBudget: (service, ratio) => budget.set({ grpc_service: service }, ratio),
  };
}

function callMeter(registry: Registry, prefix: string, what: string): (method: MethodInfo) => CallEnd {
  const registers = [registry];
  const started = new Counter({
    name: `${prefix}_started_total`,
    help: `${what}.`,
    labelNames: methodLabels,
    registers,
  });
  const handled = new Counter({
    name: `${prefix}_handled_total`,
    help: `${what}, by how they ended.`,
    labelNames: [...methodLabels, "grpc_code"],
    registers,
  });
  const seconds = new Histogram({
    name: `${prefix}_handling_seconds`,
    help: `${what}: how long they took.`,
    labelNames: methodLabels,
    buckets: secondsBuckets,
    registers,
  });
  return (method) => {
    const labels = { grpc_type: method.kind, grpc_service: method.service, grpc_method: method.method };
    const begin = performance.now();
    started.inc(labels);
    return (code) => {
      handled.inc({ ...labels, grpc_code: codeName(code) });
      seconds.observe(labels, (performance.now() - begin) / 1000);
    };
  };
}

/** The code as gRPC spells it, such as `DEADLINE_EXCEEDED`; `OK` for undefined. */
export function codeName(code: Code | undefined): string {
  if (code === undefined) return "OK";
  if (code === Code.Canceled) return "CANCELLED";
  return Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
