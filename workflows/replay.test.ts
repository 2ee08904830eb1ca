import { readdirSync, readFileSync } from "node:fs";
import { historyFromJSON } from "@temporalio/common/lib/proto-utils.js";
import { DefaultLogger, makeTelemetryFilterString, Runtime, Worker } from "@temporalio/worker";
import { beforeAll, describe, expect, test } from "vitest";
import { buildBundle } from "./bundle.ts";
import { scenarios } from "./histories/scenarios.ts";

const folder = new URL("histories/", import.meta.url);
let workflowBundle: { readonly code: string };

beforeAll(async () => {
  Runtime.install({
    logger: new DefaultLogger("ERROR"),
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: "ERROR" }) } },
  });
  workflowBundle = await buildBundle();
}, 60_000);

/** The parts of a history, as JSON, that the tests look at. */
interface RecordedEvent {
  readonly eventType: string;
  readonly activityTaskScheduledEventAttributes?: { activityType: { name: string } };
  readonly workflowExecutionCompletedEventAttributes?: { result: { payloads: { data: string }[] } };
}

function recorded(name: string): { events: RecordedEvent[] } {
  return JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8")) as { events: RecordedEvent[] };
}

async function replay(name: string, history: unknown = recorded(name)): Promise<Error | undefined> {
  const histories = [{ workflowId: `${name}/01J00000000000000000000000`, history: historyFromJSON(history) }];
  for await (const { error } of Worker.runReplayHistories({ workflowBundle }, histories)) return error;
  throw new Error("nothing was replayed");
}

describe("recorded histories", { timeout: 60_000 }, () => {
  test("are there for every scenario, and for nothing else", () => {
    const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
    expect(files.sort()).toEqual(scenarios.map(({ name }) => `${name}.json`).sort());
  });

  test.each(scenarios)("$name took the path of its scenario", ({ name, activities, result }) => {
    const { events } = recorded(name);
    const called = events.flatMap(
      (event) => event.activityTaskScheduledEventAttributes?.activityType.name ?? [],
    );
    expect(called).toEqual(activities);
    const data = events.at(-1)?.workflowExecutionCompletedEventAttributes?.result.payloads[0]?.data;
    const returned: unknown = data && JSON.parse(Buffer.from(data, "base64").toString());
    expect(returned).toEqual(result);
  });

  test.each(scenarios)("$name can go on with today's workflow", async ({ name }) => {
    expect(await replay(name)).toBeUndefined();
  });

  test("of a workflow with other steps cannot", async () => {
    const text = JSON.stringify(recorded("create-approved"));
    const error = await replay(
      "create-approved",
      JSON.parse(text.replaceAll("reserveStock", "checkWeather")),
    );
    expect(error?.name).toBe("DeterminismViolationError");
  });
});

test("there is one protobufjs, of version 8: with two, histories cannot be read", async () => {
  const installed = JSON.parse(
    readFileSync(new URL("../node_modules/protobufjs/package.json", import.meta.url), "utf8"),
  ) as { version: string };
  expect(installed.version).toMatch(/^8\./);
  const nested = readdirSync(new URL("../node_modules/@temporalio/", import.meta.url)).filter((name) => {
    const modules = new URL(`../node_modules/@temporalio/${name}/node_modules/`, import.meta.url);
    try {
      return readdirSync(modules).includes("protobufjs");
    } catch {
      return false;
    }
  });
  expect(nested).toEqual([]);
});
