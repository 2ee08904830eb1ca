/** What the edge counts: requests by protocol, route and code, and how long they took. */
import type { Code } from "@connectrpc/connect";
import { Counter, Histogram, type Registry } from "prom-client";
import { codeName } from "../../mesh/observe/metrics.ts";
import type { Protocol } from "./exchange.ts";

/** Counts requests at the edge. */
export interface EdgeMetrics {
  /** One request is over. `route` is a template or a method, never a path; `code` is undefined for OK. */
  observe(protocol: Protocol, route: string, code: Code | undefined, seconds: number): void;
}

/** From 250 µs to 60 s. */
const secondsBuckets = [
  0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60,
];

/** `gateway_requests_total` and `gateway_request_seconds`, in a registry of metrics. */
export function createEdgeMetrics(registry: Registry): EdgeMetrics {
  const requests = new Counter({
    name: "gateway_requests_total",
    help: "Requests at the public edge, by how they ended.",
    labelNames: ["protocol", "route", "code"],
    registers: [registry],
  });
  const seconds = new Histogram({
    name: "gateway_request_seconds",
    help: "Requests at the public edge: from the head of the request to the end of the response.",
    labelNames: ["protocol", "route"],
    buckets: secondsBuckets,
    registers: [registry],
  });
  // Looking up a child by its labels costs more than all else here, and there are few combinations.
  const counters = new Map<string, ReturnType<typeof requests.labels>>();
  const histograms = new Map<string, ReturnType<typeof seconds.labels>>();

  return {
    observe(protocol, route, code, elapsed) {
      const key = `${protocol} ${route}`;
      const codeKey = code === undefined ? key : `${key} ${code}`;
      let counter = counters.get(codeKey);
      if (counter === undefined) {
        counter = requests.labels(protocol, route, codeName(code));
        counters.set(codeKey, counter);
      }
      counter.inc();
      let histogram = histograms.get(key);
      if (histogram === undefined) {
        histogram = seconds.labels(protocol, route);
        histograms.set(key, histogram);
      }
      histogram.observe(elapsed);
    },
  };
}
