/** One run of the simulator: clients, faults, healing, and what the checkers say. All of it follows from the seed. */
import { OperationKind, Status } from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { startRoute } from "../../mesh/cache/route.ts";
import { operation, type Operation } from "../../mesh/cache/session-codec.ts";
import { slotOf } from "../../mesh/cache/slots.ts";
import {
  findDiverged,
  findForgotten,
  findLost,
  findNotLinearizable,
  findTwoWinners,
  type Event,
} from "./checkers.ts";
import { createWorld, type Mutations, type World } from "./world.ts";

/** What goes wrong in a run. */
export type Fault = "none" | "kill" | "restart" | "cut" | "isolate" | "absent" | "pause" | "split";

/** What a run was, and what the checkers found. */
export interface Outcome {
  readonly seed: number;
  readonly fault: Fault;
  readonly history: readonly Event[];
  readonly problems: readonly string[];
}

const FAULTS: readonly Fault[] = ["none", "kill", "restart", "cut", "isolate", "pause", "split", "absent"];
/** Faults that leave clients a node which has what was acknowledged. */
const SPARING: readonly Fault[] = ["none", "kill", "restart", "cut", "pause"];
const KEYS = ["n:a", "n:b", "n:c", "n:d"];
const OPERATIONS = 60;
const LEASE_MS = 3000;
const TIMEOUT_MS = 5000;

/** Runs the schedule of a seed. */
export function runSchedule(seed: number, mutations: Mutations = {}, only?: Fault): Outcome {
  const ids = ["n1", "n2", "n3", "n4"].slice(0, seed % 3 === 0 ? 4 : 3);
  const world = createWorld(seed, ids, mutations);
  const fault = only ?? FAULTS[seed % FAULTS.length]!;
  for (const id of ids) world.start(id);
  world.publish(ids);
  world.run(2000);
  const history: Event[] = [];
  const spanMs = inject(world, fault);
  for (let count = 0; count < OPERATIONS; count++) {
    world.after(world.random() * spanMs, () => perform(world, mutations, fault === "none", history));
  }
  world.run(world.now() + spanMs + 5000);
  settle(world, ids);
  const problems = [
    ...findLost(history, world),
    ...findDiverged(history, world),
    ...findTwoWinners(history),
    ...(SPARING.includes(fault) ? findForgotten(history) : []),
    ...(fault === "none" ? findNotLinearizable(history) : []),
  ];
  return { seed, fault, history, problems };
}

/** Plans the fault of a run, and tells how long the clients work. */
function inject(world: World, fault: Fault): number {
  const { ids, random } = world;
  const victim = ids[Math.floor(random() * ids.length)] as string;
  const others = ids.filter((id) => id !== victim);
  const at = 200 + random() * 2000;
  const spells = {
    isolate: 500 + random() * 20_000,
    absent: 62_000 + random() * 90_000,
    pause: 200 + random() * 10_000,
  };
  const drop = (after: number) =>
    world.after(after + LEASE_MS, () => world.node(victim) === undefined && world.publish(others));
  switch (fault) {
    case "none":
      return 400;
    case "kill":
      world.after(at, () => world.kill(victim));
      drop(at);
      return 8000;
    case "restart": {
      const back = at + 300 + random() * 6000;
      world.after(at, () => world.kill(victim));
      drop(at);
      world.after(back, () => (world.start(victim), world.publish(ids)));
      return 10_000;
    }
    case "cut": {
      const other = others[0] as string;
      world.after(at, () => world.cut(victim, other, true));
      world.after(at + spells.isolate, () => world.cut(victim, other, false));
      return at + spells.isolate + 2000;
    }
    case "isolate":
    case "absent": {
      const spellMs = spells[fault];
      world.after(at, () => cutOff(world, [victim], true));
      world.after(at + LEASE_MS, () => spellMs > LEASE_MS && world.publish(others));
      world.after(at + spellMs, () => (cutOff(world, [victim], false), world.publish(ids)));
      return at + spellMs + 2000;
    }
    case "pause":
      world.after(at, () => world.pause(victim));
      if (spells.pause > LEASE_MS) world.after(at + LEASE_MS, () => world.publish(others));
      world.after(at + spells.pause, () => (world.resume(victim), world.publish(ids)));
      return at + spells.pause + 2000;
    case "split": {
      const side = ids.slice(0, Math.floor(ids.length / 2));
      world.after(at, () => cutOff(world, side, true));
      world.after(at + LEASE_MS, () => world.publish(ids.filter((id) => !side.includes(id))));
      world.after(at + LEASE_MS + spells.isolate, () => (cutOff(world, side, false), world.publish(ids)));
      return at + LEASE_MS + spells.isolate + 2000;
    }
  }
}

/** Cuts nodes off from all others and the registry, but not from clients: both sides go on serving. */
function cutOff(world: World, side: readonly string[], isCut: boolean): void {
  for (const id of side) {
    for (const other of [...world.ids.filter((id) => !side.includes(id)), "registry"])
      world.cut(id, other, isCut);
  }
}

/** All live and see each other, until nothing is left to be sent. */
function settle(world: World, ids: readonly string[]): void {
  for (const id of ids) if (world.node(id) === undefined) world.start(id);
  world.publish(ids);
  for (let second = 0; second < 30; second++) {
    world.run(world.now() + 1000);
    if (second > 3 && ids.every((id) => world.node(id)?.isHandedOver() === true)) return;
  }
}

/** One client call, with the retries of a client, noted in the history when it is over. */
function perform(world: World, mutations: Mutations, isCrowded: boolean, history: Event[]): void {
  const { random } = world;
  // Without faults all work on two keys: the more they meet, the more there is to put in order.
  const key = KEYS[Math.floor(random() * (isCrowded ? 2 : KEYS.length))] as string;
  const dice = random();
  const kind = dice < 0.4 ? "get" : dice < 0.75 ? "set" : dice < 0.85 ? "delete" : "cas";
  const value = `${world.now()}-${Math.floor(random() * 1e9)}`;
  const calledAt = world.now();
  const note = (outcome: Event["outcome"], version: number, read: string | undefined, base: number) =>
    history.push({
      key,
      kind,
      calledAt,
      outcome,
      version,
      base,
      value: kind === "get" ? read : value,
      answeredAt: outcome === "unknown" ? Infinity : world.now(),
    });
  if (kind === "cas") return compareAndSet(world, key, value, note);
  const op = operation({
    kind: kind === "get" ? OperationKind.GET : kind === "set" ? OperationKind.SET : OperationKind.DELETE,
    key: Buffer.from(key),
    value: kind === "set" ? Buffer.from(value) : Buffer.alloc(0),
    cold: mutations.hasty === true,
  });
  const skip = mutations.readReplica === true && kind === "get" && random() < 0.5 ? 1 : 0;
  call(world, op, skip, (status, version, read) => {
    if (status === Status.OK || status === Status.MISS) note("ok", version, read, 0);
    else note(kind === "get" ? "failed" : "unknown", version, undefined, 0);
  });
}

function compareAndSet(
  world: World,
  key: string,
  value: string,
  note: (outcome: Event["outcome"], version: number, read: string | undefined, base: number) => void,
): void {
  const bytes = Buffer.from(key);
  call(world, operation({ kind: OperationKind.GET, key: bytes }), 0, (status, base) => {
    if (status !== Status.OK && status !== Status.MISS) return;
    const condition = base === 0 ? { ifAbsent: true } : { ifVersion: base };
    const op = operation({ kind: OperationKind.SET, key: bytes, value: Buffer.from(value), ...condition });
    call(world, op, 0, (status, version) => {
      if (status === Status.OK) note("ok", version, undefined, base);
      else note(status === Status.CONFLICT ? "failed" : "unknown", version, undefined, base);
    });
  });
}

type Done = (status: Status, version: number, value: string | undefined) => void;

/** Asks as a client does; past the first `skip` owners, a client with a bug. */
function call(world: World, op: Operation, skip: number, done: Done): void {
  const owners = world.ring().owners(slotOf(op.key)).slice(skip);
  const around = { clock: world.clientClock, connectionTo: world.connectionTo };
  op.standIn = skip > 0;
  startRoute(around, op, owners, TIMEOUT_MS, ({ status, version, value }) =>
    done(status, version, status === Status.OK ? value.toString() : undefined),
  );
}
