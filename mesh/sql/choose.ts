/** Which member a read goes to. Pure. */
import type { Random } from "../clock.ts";

/**
 * The preferred member if it is among the readers, else the less loaded of two picked at random. Undefined if there are
 * none. A preferred member that is twice as loaded as the other of the two gives way to it.
 */
export function chooseReader(
  readers: readonly string[],
  preferred: string | undefined,
  load: (member: string) => number,
  random: Random,
): string | undefined {
  const first = preferred !== undefined && readers.includes(preferred) ? preferred : pick(readers, random);
  const others = readers.filter((reader) => reader !== first);
  const second = pick(others, random);
  if (first === undefined || second === undefined) return first;
  const tolerated = first === preferred ? 2 * load(second) + SLACK : load(second);
  return load(first) <= tolerated ? first : second;
}

/** A preferred member with no more than this many reads is never passed over. */
const SLACK = 4;

function pick(members: readonly string[], random: Random): string | undefined {
  return members[Math.floor(random() * members.length)];
}
