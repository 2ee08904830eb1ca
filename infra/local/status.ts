/** `npm run status`: one row for each process: whether it runs, is ready, where it is, since how many restarts. */
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
    state.processes.map(async (process) => ({ process, health: await healthOf(process) })),
  );
  const cells = rows.map(({ process, health }) => [
    process.name,
    health,
    String(process.pid),
    addressesOf(process),
    String(process.restarts),
    process.log,
  ]);
  const text = [
    `Heddle is ${state.phase} (launcher pid ${state.launcher.pid})`,
    "",
    table([["process", "state", "pid", "where", "restarts", "log"], ...cells]),
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

function probeOf(addresses: Readonly<Record<string, string>>) {
  if (addresses["admin"] !== undefined) return httpProbe(`http://${addresses["admin"]}/readyz`);
  const [host = "", port = ""] = (Object.values(addresses)[0] ?? "").split(":");
  return tcpProbe(host, Number(port));
}
