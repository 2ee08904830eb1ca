/**
 * Records the history of every scenario, against a Temporal server that runs:
 *
 *     node workflows/histories/record.ts 127.0.0.1:7233
 *
 * Only for scenarios that are new. A recorded history stays as it is for as long as a workflow that old may still run: the
 * replay test then shows whether a changed workflow can go on with it.
 */
import { existsSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Client, Connection } from "@temporalio/client";
import { ApplicationFailure } from "@temporalio/common";
import { historyToJSON } from "@temporalio/common/lib/proto-utils.js";
import { DefaultLogger, NativeConnection, Runtime, Worker } from "@temporalio/worker";
import { buildBundle } from "../bundle.ts";
import { scenarios, type Scenario } from "./scenarios.ts";

const [address = "127.0.0.1:7233"] = process.argv.slice(2);
Runtime.install({ logger: new DefaultLogger("ERROR") });
const connection = await NativeConnection.connect({ address });
const client = new Client({ connection: await Connection.connect({ address }), identity: "recorder" });
const workflowBundle = await buildBundle();

for (const scenario of scenarios) {
  const target = fileURLToPath(new URL(`${scenario.name}.json`, import.meta.url));
  if (!existsSync(target)) writeFileSync(target, `${await record(scenario)}\n`);
}
await connection.close();

async function record(scenario: Scenario): Promise<string> {
  const workflowId = `${scenario.name}/01J00000000000000000000000`;
  const taskQueue = `record-${scenario.name}`;
  const worker = await Worker.create({
    connection,
    taskQueue,
    identity: "recorder",
    workflowBundle,
    activities: scripted(scenario, () => client.workflow.getHandle(workflowId).cancel()),
  });
  return worker.runUntil(async () => {
    const handle = await client.workflow.start(scenario.workflow, {
      workflowId,
      taskQueue,
      args: [{ orderId: "01J00000000000000000000000", consumerId: "ada", totalCents: "1780" }],
    });
    await handle.result().catch((error: unknown) => {
      if (scenario.result !== undefined) throw error;
    });
    return withoutStacks(historyToJSON(await handle.fetchHistory()));
  });
}

/** Activities that do nothing, but say no or have the workflow cancelled where the scenario wants it. */
function scripted(
  { rejected, stoppedDuring }: Scenario,
  stop: () => Promise<unknown>,
): Record<string, () => Promise<void>> {
  const names = new Set(scenarios.flatMap(({ activities }) => activities));
  const activity = (name: string) => async () => {
    if (name === stoppedDuring) await stop();
    if (name !== rejected?.activity) return;
    throw ApplicationFailure.nonRetryable("no", rejected.reason);
  };
  return Object.fromEntries([...names].map((name) => [name, activity(name)]));
}

/** Stack traces name files of the machine that recorded, and play no part in a replay. */
function withoutStacks(json: string): string {
  const keep = (key: string, value: unknown) => (key === "stackTrace" ? undefined : value);
  return JSON.stringify(JSON.parse(json), keep, 2);
}
