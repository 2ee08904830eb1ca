/**
 * `grpc.health.v1.Health`: whether this server, and each of its services, takes calls. Draining says NOT_SERVING before
 * anything is closed, so that callers go elsewhere while calls still succeed.
 */
import { Code, type ServiceImpl } from "@connectrpc/connect";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/ts/grpc/health/v1/health_pb.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../errors.ts";
import { servedCall } from "./context.ts";

/** The health of a server. */
export interface HealthState {
  /** Serves Check, Watch and List. */
  readonly implementation: ServiceImpl<typeof Health>;
  /** Sets one service; `""` stands for the server as a whole. */
  set(service: string, serving: boolean): void;
  /** Says NOT_SERVING for everything. */
  drain(): void;
}

/** Health of a server that offers these services. All of them begin as SERVING. */
export function createHealth(services: readonly string[]): HealthState {
  const statuses = new Map<string, Status>(["", ...services].map((name) => [name, Status.SERVING]));
  let changed = Promise.withResolvers<void>();

  function set(service: string, serving: boolean): void {
    statuses.set(service, serving ? Status.SERVING : Status.NOT_SERVING);
    changed.resolve();
    changed = Promise.withResolvers();
  }

  return {
    set,
    drain() {
      for (const service of statuses.keys()) set(service, false);
    },
    implementation: {
      check({ service }) {
        const status = statuses.get(service);
        if (status === undefined) throw rpcError(Code.NotFound, Reason.UNKNOWN_METHOD, notServed(service));
        return { status };
      },

      // Never ends by itself, also not for a service that is unknown now: it may come (gRPC health checking protocol).
      async *watch({ service }, context) {
        const ended = endOf(context.signal, servedCall()?.draining);
        let last: Status | undefined;
        for (;;) {
          const next = changed.promise;
          const status = statuses.get(service) ?? Status.SERVICE_UNKNOWN;
          if (status !== last) yield { status };
          last = status;
          if ((await Promise.race([next, ended])) === "draining") {
            if (statuses.get(service) !== last)
              yield { status: statuses.get(service) ?? Status.SERVICE_UNKNOWN };
            throw rpcError(
              Code.Unavailable,
              Reason.DRAINING,
              "the server is shutting down; watch another instance",
            );
          }
          if (context.signal.aborted) return;
        }
      },

      list() {
        return { statuses: Object.fromEntries([...statuses].map(([name, status]) => [name, { status }])) };
      },
    },
  };
}

function endOf(signal: AbortSignal, draining: AbortSignal | undefined): Promise<"over" | "draining"> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve("over"), { once: true });
    if (draining?.aborted) resolve("draining");
    draining?.addEventListener("abort", () => resolve("draining"), { once: true, signal });
  });
}

function notServed(service: string): string {
  return `this server does not offer ${service}`;
}
