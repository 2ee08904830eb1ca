/** `npm start`: checks everything first, then brings the stack up, prints what runs where, and ends it on a signal. */
import { monotonicFactory } from "ulid";
import { ConfigError, type Config } from "../../mesh/config.ts";
import type { ChildEvents } from "./child.ts";
import { prepareFolders, type Folders } from "./folder.ts";
import { assignPorts, occupiedPorts, type Ports } from "./ports.ts";
import { startReaper, type ReaperLink } from "./reaper-link.ts";
import { sampleCalls } from "./samples.ts";
import { createScreen, table, type Screen } from "./screen.ts";
import { installTools, stackUnits } from "./stack.ts";
import { clearState, runningStack, startTimeOf, writeState, type StackState } from "./state.ts";
import { addressesOf } from "./status.ts";
import { stopStack } from "./stop.ts";
import { usedPorts, type Profile } from "./topology.ts";
import { startUnits, stopUnits, type Unit } from "./unit.ts";

/** Runs the stack until a signal ends it. Resolves with the exit status. */
export async function runStack(config: Config, profile: Profile, folders: Folders): Promise<number> {
  const begin = performance.now();
  const ports = await checkSurroundings(config, profile, folders);
  const screen = createScreen(process.stdout);
  const stop = stopSignal(screen);
  const reaper = startReaper();
  let units: readonly Unit[] = [];
  let phase: StackState["phase"] = "starting";
  const save = () => {
    const launcher = { pid: process.pid, started: startTimeOf(process.pid) };
    writeState(folders.root, { phase, launcher, processes: units.flatMap((unit) => unit.processes()) });
  };
  try {
    save();
    const tools = await installTools(config, screen, stop);
    units = stackUnits({
      config,
      profile,
      ports,
      folders,
      tools,
      events: childEvents(screen, reaper, save),
      report: (line) => screen.line(`mysql: ${line}`),
    });
    await startUnits(units, progressOf(screen), stop);
    phase = "up";
    save();
    announceUp(screen, units, ports, performance.now() - begin);
    await aborted(stop);
    return 0;
  } catch (error) {
    if (stop.aborted) return 0;
    throw error;
  } finally {
    phase = "stopping";
    save();
    await stopUnits(units);
    await reaper.close();
    clearState(folders.root);
    screen.line("Heddle has stopped; its data stays in " + folders.data);
  }
}

/** Everything that can be wrong before anything starts, all at once. Also ends what a killed launcher has left behind. */
async function checkSurroundings(config: Config, profile: Profile, folders: Folders): Promise<Ports> {
  const running = runningStack(folders.root);
  if (running !== undefined) {
    throw new ConfigError([
      `Heddle runs here already (pid ${running.launcher.pid}): see npm run status, or end it with npm run stop`,
    ]);
  }
  const { ports, problems } = assignPorts(config.local?.ports ?? {});
  problems.push(...prepareFolders(folders));
  if (problems.length === 0) {
    await stopStack(folders.root);
    problems.push(...(await occupiedPorts(ports, usedPorts(profile, ports))));
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return ports;
}

/** Aborts at the first SIGINT, SIGTERM or SIGHUP. A second one changes nothing: stopping is under way, and bounded. */
function stopSignal(screen: Screen): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) return;
      screen.line("Heddle is stopping …");
      controller.abort(new Error(signal));
    });
  }
  return controller.signal;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // Keeps the process alive: signal handlers alone do not.
    const heartbeat = setInterval(() => undefined, 60_000);
    const end = () => {
      clearInterval(heartbeat);
      resolve();
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}

function childEvents(screen: Screen, reaper: ReaperLink, save: () => void): ChildEvents {
  return {
    spawned(_name, pid) {
      reaper.spawned(pid);
      // The process is in the list of its unit only after this event.
      setImmediate(save);
    },
    exited(_name, pid) {
      reaper.exited(pid);
      setImmediate(save);
    },
    died: (name, how, againInMs) =>
      screen.line(`${name} died (${how}); starting it again in ${againInMs / 1000} s`),
    recovered: (name) => screen.line(`${name} is ready again`),
  };
}

function progressOf(screen: Screen) {
  return {
    starting: (unit: Unit) => screen.progress(unit.name, "starting"),
    ready: (unit: Unit, afterMs: number) =>
      screen.done(unit.name, `ready after ${(afterMs / 1000).toFixed(1)} s`),
  };
}

function announceUp(screen: Screen, units: readonly Unit[], ports: Ports, afterMs: number): void {
  const processes = units.flatMap((unit) => unit.processes());
  const consumerId = `ada-${monotonicFactory()().slice(-6).toLowerCase()}`;
  screen.line("");
  screen.line(
    table([
      ["process", "pid", "where"],
      ...processes.map((one) => [one.name, `${one.pid}`, addressesOf(one)]),
    ]),
  );
  screen.line(`\nWorkflows: http://127.0.0.1:${ports.temporal_ui}\nLogs and state: npm run status\n\nTry:`);
  for (const call of sampleCalls(`localhost:${ports.gateway}`, consumerId)) screen.line(`  ${call}`);
  screen.line(`\nHeddle is up (after ${(afterMs / 1000).toFixed(1)} s). Ctrl-C stops it.`);
}
