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

/** Computes the ring of these members. Throws TypeError for a duplicate id or a weight below 1. */
export function createRing(unsorted: readonly Member[], replicas: number): Ring {
  const members = [...unsorted].sort((a, b) => (a.id < b.id ? -1 : 1));
  checkMembers(members, replicas);
  const table = ownerTable(members, replicas);
  const names = table.map((row) => row.map((index) => (members[index] as Member).id));
  const placesById = new Map<string, Int8Array>();
  return {
    members,
    replicas,
    digest: digestOf(members, replicas, table),
    owners: (slot) => names[slot] ?? [],
    place(slot, id) {
      let places = placesById.get(id);
      if (places === undefined) {
        places = Int8Array.from(names, (owners) => owners.indexOf(id));
        placesById.set(id, places);
      }
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

/** For each slot the indexes of its owners and stand-ins, in order of preference. */
function ownerTable(members: readonly Member[], replicas: number): readonly (readonly number[])[] {
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  const room = members.map(({ weight }) => Math.ceil((BOUND * SLOT_COUNT * weight) / total));
  const seeds = members.map(({ id }) => xxh32(Buffer.from(id, "utf8")));
  return Array.from({ length: SLOT_COUNT }, (_, slot) => {
    const order = byScore(members, seeds, slot);
    const first = order.findIndex((index) => (room[index] as number) > 0);
    if (first === -1) return [];
    const [primary] = order.splice(first, 1) as [number];
    room[primary] = (room[primary] as number) - 1;
    return [primary, ...spread(members, primary, order, replicas - 1)].slice(0, replicas + STAND_INS);
  });
}

/** Members by falling rendezvous score. The logarithm makes shares follow weights (Schindler and Schomaker, 2005). */
function byScore(members: readonly Member[], seeds: readonly number[], slot: number): number[] {
  const salt = avalanche(slot + 1);
  const scores = members.map(({ weight }, index) => {
    const uniform = (avalanche((seeds[index] as number) ^ salt) + 0.5) / 0x1_0000_0000;
    return -weight / Math.log(uniform);
  });
  return members
    .map((_, index) => index)
    .sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
}

/** Moves nodes of zones that have a copy already behind those of other zones, for as many places as there are replicas. */
function spread(
  members: readonly Member[],
  primary: number,
  order: readonly number[],
  replicas: number,
): readonly number[] {
  const used = new Set([members[primary]?.zone]);
  const chosen: number[] = [];
  for (const index of order) {
    const zone = members[index]?.zone ?? "";
    if (chosen.length >= replicas) break;
    if (zone !== "" && used.has(zone)) continue;
    used.add(zone);
    chosen.push(index);
  }
  return [...chosen, ...order.filter((index) => !chosen.includes(index))];
}

function digestOf(
  members: readonly Member[],
  replicas: number,
  table: readonly (readonly number[])[],
): string {
  const bytes = Buffer.from(JSON.stringify([members.map(({ id }) => id), replicas, table]), "utf8");
  const half = (seed: number) => xxh32(bytes, seed).toString(16).padStart(8, "0");
  return half(1) + half(2);
}
