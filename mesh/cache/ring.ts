/**
 * Which nodes own a slot: bounded rendezvous hashing over 4,096 slots. A pure function of the set of members, so that
 * every node and every client computes the same table without asking anyone. No node is primary of more than 1.015 times
 * its share, and when a node leaves, its slots go to the nodes that already hold their replicas.
 * (Thaler and Ravishankar, "A name-based mapping scheme for rendezvous", 1996; the bound is that of Mirrokni, Thorup
 * and Zadimoghaddam, "Consistent hashing with bounded loads", 2016.)
 */
import { avalanche, xxh32 } from "./hash.ts";
import { SLOT_COUNT } from "./slots.ts";

/** A node as the ring sees it. */
export interface Member {
  /** Stable name of the node: the same after a restart. */
  readonly id: string;
  /** Failure domain; empty for none. The copies of a slot lie in different zones where there are enough. */
  readonly zone: string;
  /** Share relative to the others, at least 1. */
  readonly weight: number;
}

/** Who owns what. Immutable; a change of members makes a new one. */
export interface Ring {
  /** Sorted by id. */
  readonly members: readonly Member[];
  /** Copies of each entry that the ring asks for; the ring may have fewer members. */
  readonly replicas: number;
  /** 64 bits in hex over members and table: equal exactly where two processes agree on every owner. */
  readonly digest: string;
  /**
   * Ids in order of preference: the primary, its replicas, then the nodes that stand in for them. A node that leaves
   * moves everybody behind it one place up.
   */
  owners(slot: number): readonly string[];
  /** Place of a node among `owners(slot)`: 0 is the primary, below `replicas` an owner, -1 none of them. */
  place(slot: number, id: string): number;
}

/** No node is primary of more than this many times its share. */
const BOUND = 1.015;
/** Stand-ins kept for each slot behind its owners. */
const STAND_INS = 2;

/**
 * Computes the ring of these members, in a few milliseconds: everybody does so at the same moment, and answers nobody
 * meanwhile. Throws TypeError for a duplicate id or a weight below 1.
 */
export function createRing(unsorted: readonly Member[], replicas: number): Ring {
  const members = [...unsorted].sort((a, b) => (a.id < b.id ? -1 : 1));
  checkMembers(members, replicas);
  const width = Math.min(members.length, replicas + STAND_INS);
  const table = ownerTable(members, replicas, width);
  const rows = new Map<string, readonly string[]>();
  const ownersBySlot: (readonly string[] | undefined)[] = [];
  const placesById = new Map<string, Int8Array>();

  /** Few of all orders occur with few members: slots share them. */
  function ownersOf(slot: number): readonly string[] {
    const indexes = table.subarray(slot * width, (slot + 1) * width);
    const name = indexes.join();
    let row = rows.get(name);
    if (row === undefined)
      rows.set(name, (row = Array.from(indexes, (index) => (members[index] as Member).id)));
    return row;
  }

  function placesOf(id: string): Int8Array {
    const places = new Int8Array(SLOT_COUNT).fill(-1);
    const member = members.findIndex((each) => each.id === id);
    for (let at = 0; at < table.length; at++) {
      if (table[at] === member) places[Math.floor(at / width)] = at % width;
    }
    return places;
  }

  return {
    members,
    replicas,
    digest: digestOf(members, replicas, table),
    owners: (slot) => (ownersBySlot[slot] ??= ownersOf(slot)),
    place(slot, id) {
      let places = placesById.get(id);
      if (places === undefined) placesById.set(id, (places = placesOf(id)));
      return places[slot] ?? -1;
    },
  };
}

function checkMembers(members: readonly Member[], replicas: number): void {
  if (!(Number.isInteger(replicas) && replicas >= 1)) {
    throw new TypeError(`replicas must be a whole number from 1, not ${replicas}`);
  }
  for (const [index, { id, weight }] of members.entries()) {
    if (members[index + 1]?.id === id) throw new TypeError(`two ring members have the id "${id}"`);
    if (!(weight >= 1)) throw new TypeError(`ring member ${id} has weight ${weight}; the least is 1`);
  }
}

/** For each slot the indexes of its owners and stand-ins, in order of preference: `width` numbers each. */
function ownerTable(members: readonly Member[], replicas: number, width: number): Uint16Array {
  const count = members.length;
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  const room = Float64Array.from(members, ({ weight }) => Math.ceil((BOUND * SLOT_COUNT * weight) / total));
  const seeds = Uint32Array.from(members, ({ id }) => xxh32(Buffer.from(id, "utf8")));
  const hasZones = members.some(({ zone }) => zone !== "");
  const table = new Uint16Array(SLOT_COUNT * width);
  const scores = new Float64Array(count);
  const order = new Uint16Array(count);
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const salt = avalanche(slot + 1);
    for (let index = 0; index < count; index++) {
      scores[index] = scoreOf(members[index] as Member, seeds[index] as number, salt);
    }
    sortByScore(order, scores);
    bringForward(
      order,
      order.findIndex((index) => (room[index] as number) > 0),
    );
    const primary = order[0] as number;
    if (count > 0) room[primary] = (room[primary] as number) - 1;
    if (hasZones) spread(members, order, replicas);
    table.set(order.subarray(0, width), slot * width);
  }
  return table;
}

/** The rendezvous score. The logarithm makes shares follow weights (Schindler and Schomaker, 2005). */
function scoreOf({ weight }: Member, seed: number, salt: number): number {
  const uniform = (avalanche(seed ^ salt) + 0.5) / 0x1_0000_0000;
  return -weight / Math.log(uniform);
}

/** Fills `order` with the indexes of the scores, the greatest first; of equal ones the first index. */
function sortByScore(order: Uint16Array, scores: Float64Array): void {
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] as number;
    let at = index;
    for (; at > 0 && (scores[order[at - 1] as number] as number) < score; at--)
      order[at] = order[at - 1] as number;
    order[at] = index;
  }
}

/** Moves the number at this place to the front. */
function bringForward(order: Uint16Array, place: number, front = 0): void {
  if (place <= front) return;
  const moved = order[place] as number;
  order.copyWithin(front + 1, front, place);
  order[front] = moved;
}

/** Moves nodes of zones that have a copy already behind those of other zones, for as many places as there are replicas. */
function spread(members: readonly Member[], order: Uint16Array, replicas: number): void {
  const used = new Set([members[order[0] as number]?.zone]);
  let chosen = 1;
  for (let at = 1; at < order.length && chosen < replicas; at++) {
    const zone = members[order[at] as number]?.zone ?? "";
    if (zone !== "" && used.has(zone)) continue;
    used.add(zone);
    bringForward(order, at, chosen++);
  }
}

function digestOf(members: readonly Member[], replicas: number, table: Uint16Array): string {
  const names = Buffer.from(JSON.stringify([members.map(({ id }) => id), replicas]), "utf8");
  const bytes = Buffer.concat([names, new Uint8Array(table.buffer)]);
  const half = (seed: number) => xxh32(bytes, seed).toString(16).padStart(8, "0");
  return half(1) + half(2);
}
