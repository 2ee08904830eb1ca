/**
 * The worker: runs the workflows and their activities. It waits for Temporal rather than fail without it, is ready while it
 * polls, and lets activities finish when it is asked to stop.
 */
import { NativeConnection, Runtime, Worker, type Logger as TemporalLogger } from "@temporalio/worker";
import { sleep } from "../mesh/clock.ts";
import { configOrExit } from "../mesh/config.ts";
import { messageOf } from "../mesh/errors.ts";
import { stopOnSignal } from "../mesh/lifecycle.ts";
import { createMesh, type Mesh } from "../mesh/mesh.ts";
import { listenAdmin } from "../mesh/observe/admin.ts";
import type { Logger } from "../mesh/observe/log.ts";
import { createActivities } from "./activities.ts";
import { loadBundle } from "./bundle.ts";

const mesh = createMesh({ name: "worker", config: configOrExit() });
const stopping = new AbortController();
let worker: Worker | undefined;

stopOnSignal(async () => {
  stopping.abort();
  if (worker?.getState() === "RUNNING") worker.shutdown();
  await finished;
}, mesh.log);

const finished = run(mesh);
await finished;

async function run(mesh: Mesh): Promise<void> {
  const { config, log, metrics } = mesh;
  Runtime.install({ logger: temporalLog(log), shutdownSignals: [] });
  const admin = await listenAdmin(config.admin || "127.0.0.1:0", { metrics, notReady: whyNotReady });
  worker = await createWorker(mesh);
  if (worker !== undefined) {
    log.info({ admin: admin.address }, "polling");
    await worker.run();
    await worker.options.connection?.close();
  }
  await mesh.close();
  await admin.close();
}

function whyNotReady(): string | undefined {
  if (worker === undefined) return "no connection to Temporal yet";
  const { runState, workflowPollerState } = worker.getStatus();
  return runState === "RUNNING" && workflowPollerState === "POLLING"
    ? undefined
    : `the worker is ${runState}`;
}

/** The worker once Temporal answers; undefined if the process is to stop before. */
async function createWorker({ config, log, transport }: Mesh): Promise<Worker | undefined> {
  const { address = "", namespace = "", taskQueue = "", bundle = "" } = config.temporal ?? {};
  const workflowBundle = await loadBundle(bundle);
  for (let delayMs = 250; !stopping.signal.aborted; delayMs = Math.min(5_000, delayMs * 2)) {
    try {
      return await Worker.create({
        connection: await NativeConnection.connect({ address: address || "127.0.0.1:7233" }),
        namespace: namespace || "default",
        taskQueue: taskQueue || "shop",
        workflowBundle,
        activities: createActivities(transport),
        // A worker that was killed leaves its cached workflows behind; after this long any other may take them.
        stickyQueueScheduleToStartTimeout: "2s",
        maxCachedWorkflows: 500,
        // An attempt of an activity takes 5 s at most: all of them end in time, none is cut off.
        shutdownGraceTime: "6s",
        shutdownForceTime: "20s",
      });
    } catch (error) {
      log.warn({ address, problem: messageOf(error), retryInMs: delayMs }, "Temporal does not answer");
      await sleep(delayMs, stopping.signal).catch(() => {});
    }
  }
  return undefined;
}

/** Temporal's log lines in ours. */
function temporalLog(log: Logger): TemporalLogger {
  const at =
    (level: "trace" | "debug" | "info" | "warn" | "error") =>
    (message: string, meta?: Record<string, unknown>) =>
      log[level](meta ?? {}, message);
  const to = {
    TRACE: at("trace"),
    DEBUG: at("debug"),
    INFO: at("info"),
    WARN: at("warn"),
    ERROR: at("error"),
  };
  return {
    log: (level, message, meta) => to[level](message, meta),
    trace: to.TRACE,
    debug: to.DEBUG,
    info: to.INFO,
    warn: to.WARN,
    error: to.ERROR,
  };
}
