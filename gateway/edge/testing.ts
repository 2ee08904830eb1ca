/** An edge in front of one echo server, in this process, for tests. */
import { EchoService } from "../../gen/ts/heddle/testing/v1/echo_service_pb.ts";
import { createLog } from "../../mesh/observe/log.ts";
import { createMetrics, type Metrics } from "../../mesh/observe/metrics.ts";
import { createChannel } from "../../mesh/rpc/channel.ts";
import { createRpcServer, service } from "../../mesh/rpc/server.ts";
import { echoTable } from "../routes/echo.fixture.ts";
import { createEchoService } from "../testing/echo-service.ts";
import type { EdgeLimits } from "./calls.ts";
import { createEdgeMetrics } from "./edge-metrics.ts";
import { createEdge } from "./edge.ts";
import { createListener } from "./listener.ts";

/** A running edge. */
export interface TestEdge {
  /** `http://host:port`. */
  readonly url: string;
  readonly metrics: Metrics;
  /** Parsed lines of the log. */
  readonly logged: Record<string, unknown>[];
  /** What became of calls that wait. */
  readonly events: string[];
  /** Stops the echo server. */
  stopServer(): Promise<void>;
  close(): Promise<void>;
}

/** Starts both. */
export async function startTestEdge(limits: Partial<EdgeLimits> = {}): Promise<TestEdge> {
  const events: string[] = [];
  const onEvent = (event: string) => void events.push(event);
  const server = createRpcServer({
    services: [service(EchoService, createEchoService({ name: "echo-1", onEvent }))],
    maxMessageBytes: 64 * 1024 * 1024,
  });
  const channel = createChannel({ address: await server.listen("127.0.0.1:0") });
  const logged: Record<string, unknown>[] = [];
  const write = (line: string) => void logged.push(JSON.parse(line) as Record<string, unknown>);
  const metrics = createMetrics({ process: false });
  const edge = createEdge(
    {
      table: () => echoTable,
      send: channel.call,
      log: createLog({ service: "gateway", level: "debug" }, { write }),
      metrics: createEdgeMetrics(metrics.registry),
      limits: {
        defaultTimeoutMs: 5000,
        maxTimeoutMs: 10_000,
        maxBodyBytes: 1024 * 1024,
        streamIdleMs: 5000,
        ignoreUnknownFields: false,
        tokenCookies: false,
        ...limits,
      },
    },
    new Map(),
  );
  const listener = createListener(edge);
  const address = await listener.listen("127.0.0.1:0");
  return {
    url: `http://${address}`,
    metrics,
    logged,
    events,
    stopServer: () => server.close(),
    async close() {
      await listener.drain(0);
      await channel.close();
      await server.close();
    },
  };
}

/** Everything that a stream yields. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
