/**
 * S3-FIFO by bytes (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): a small queue of 10 %
 * filters what is used once, a main queue keeps what is used again, and a ghost of what left the small queue lets it
 * return straight to the main one.
 */
import { createIdList, type IdList } from "./columns.ts";
import { createGhost } from "./ghost.ts";
import type { EvictionPolicy, PolicyColumns } from "./policy.ts";

const SMALL_RATIO = 0.1;
const FREQUENCY = 3;
const IN_MAIN = 4;

/**
 * Makes the policy for entries of about `targetBytes` in all; `sizeOf` gives the bytes of an entry that is in it. It
 * remembers up to `ghosts` entries that left.
 */
export function createS3Fifo(
  columns: PolicyColumns,
  targetBytes: () => number,
  sizeOf: (id: number) => number,
  ghosts = columns.capacity,
): EvictionPolicy {
  const { policy: state, hash } = columns;
  const small = createIdList(columns.queueNext, columns.queuePrevious);
  const main = createIdList(columns.queueNext, columns.queuePrevious);
  const ghost = createGhost(ghosts, () => targetBytes() * (1 - SMALL_RATIO));
  let smallBytes = 0;
  let mainBytes = 0;

  function toMain(id: number, bytes: number): void {
    state[id] = IN_MAIN;
    main.push(id);
    mainBytes += bytes;
  }

  /** Moves the oldest of the small queue on: to the main queue if it was used again, else out. */
  function fromSmall(): number {
    const id = small.first();
    const bytes = sizeOf(id);
    small.remove(id);
    smallBytes -= bytes;
    if (((state[id] as number) & FREQUENCY) > 0) {
      toMain(id, bytes);
      return -1;
    }
    ghost.add(hash[id] as number, bytes);
    return id;
  }

  /** Gives the oldest of the main queue another round for each use, else takes it out. */
  function fromMain(): number {
    const id = main.first();
    main.remove(id);
    const frequency = (state[id] as number) & FREQUENCY;
    if (frequency > 0) {
      state[id] = IN_MAIN | (frequency - 1);
      main.push(id);
      return -1;
    }
    mainBytes -= sizeOf(id);
    return id;
  }

  return {
    get bytes() {
      return smallBytes + mainBytes;
    },
    insert(id, bytes, hash) {
      if (ghost.take(hash)) return toMain(id, bytes);
      state[id] = 0;
      small.push(id);
      smallBytes += bytes;
    },
    touch(id) {
      const value = state[id] as number;
      if ((value & FREQUENCY) < FREQUENCY) state[id] = value + 1;
    },
    resize(id, fromBytes, toBytes) {
      if (((state[id] as number) & IN_MAIN) === 0) smallBytes += toBytes - fromBytes;
      else mainBytes += toBytes - fromBytes;
    },
    remove(id, bytes) {
      const isMain = ((state[id] as number) & IN_MAIN) !== 0;
      const queue: IdList = isMain ? main : small;
      queue.remove(id);
      if (isMain) mainBytes -= bytes;
      else smallBytes -= bytes;
    },
    evict() {
      while (small.length + main.length > 0) {
        const fromLeft = main.length === 0 || (small.length > 0 && smallBytes > targetBytes() * SMALL_RATIO);
        const id = fromLeft ? fromSmall() : fromMain();
        if (id !== -1) return id;
      }
      return -1;
    },
  };
}
