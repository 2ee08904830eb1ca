/**
 * `npm run status`: one row for each process: whether it runs, is ready, where it is, since how many restarts; which MySQL
 * member is primary, and from which members each instance reads.
 */
import { readsIn, rolesIn } from "./database-use.ts";
import { httpProbe, tcpProbe } from "./probe.ts";
import { isAlive, runningStack, type ProcessState } from "./state.ts";
import { table } from "./screen.ts";

/** What to print, and whether all is well. */
export interface Status {
  readonly text: string;
  readonly exitCode: number;
}

/** LSB's exit status of a service that is not running. */
const NOT_RUNNING = 3;

/** Looks at the stack of a folder. */
export async function stackStatus(folder: string): Promise<Status> {
  const state = runningStack(folder);
  if (state === undefined)
    return { text: "Heddle is not running here; start it with: npm start", exitCode: NOT_RUNNING };
  const rows = await Promise.all(
    state.processes.map(async (process) => ({
      process,
      health: await healthOf(process),
      metrics: await metricsOf(process),
    })),
  );
  const names = new Map(state.processes.map(({ name, addresses }) => [addresses["mysql"], name]));
  const roles = new Map(rows.flatMap(({ metrics }) => [...rolesIn(metrics)]));
  const databaseUse = ({ process, metrics }: (typeof rows)[number]) =>
    roles.get(process.addresses["mysql"] ?? "") ?? readsIn(metrics, (member) => names.get(member) ?? member);
  const cells = rows.map((row) => [
    row.process.name,
    row.health,
    String(row.process.pid),
    addressesOf(row.process),
    databaseUse(row),
    String(row.process.restarts),
    row.process.log,
  ]);
  const text = [
    `Heddle is ${state.phase} (launcher pid ${state.launcher.pid})`,
    "",
    table([["process", "state", "pid", "where", "database", "restarts", "log"], ...cells]),
  ].join("\n");
  const well = state.phase === "up" && rows.every(({ health }) => health === "ready");
  return { text, exitCode: well ? 0 : 1 };
}

/** Addresses of a process as one cell. */
export function addressesOf({ addresses }: ProcessState): string {
  const byPlace = new Map<string, string[]>();
  for (const [use, place] of Object.entries(addresses))
    byPlace.set(place, [...(byPlace.get(place) ?? []), use]);
  return [...byPlace].map(([place, uses]) => `${uses.join("+")} ${place}`).join("  ");
}

async function healthOf(process: ProcessState): Promise<string> {
  if (!isAlive(process)) return "dead";
  return (await probeOf(process.addresses)()) ? "ready" : "not ready";
}

/** What a process says of itself; empty if it does not. */
async function metricsOf({ addresses }: ProcessState): Promise<string> {
  if (addresses["admin"] === undefined) return "";
  const url = `http://${addresses["admin"]}/metrics`;
  return fetch(url, { signal: AbortSignal.timeout(1000) }).then(
    (response) => response.text(),
    () => "",
  );
}

function probeOf(addresses: Readonly<Record<string, string>>) {
  if (addresses["admin"] !== undefined) return httpProbe(`http://${addresses["admin"]}/readyz`);
  const [host = "", port = ""] = (Object.values(addresses)[0] ?? "").split(":");
  return tcpProbe(host, Number(port));
}
