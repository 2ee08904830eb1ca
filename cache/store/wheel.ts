/**
 * Finds entries whose time is over without looking at the others: a timing wheel of four levels of 64 lists each
 * (Varghese and Lauck, 1987). A second is the finest step; who needs it exact compares `expireAt` when reading.
 */

/** Entries by when they are due. */
export interface TimingWheel {
  /** Puts an entry, which is not on the wheel, there. Times that are over are due at the next step. */
  add(id: number, dueMs: number): void;
  remove(id: number): void;
  /** Takes out due entries up to `nowMs`, at most `limit` of them. True: there may be more. */
  advance(nowMs: number, limit: number, due: (id: number) => void): boolean;
}

const LEVELS = 4;
const LISTS = 64;

/** Makes an empty wheel. `next` and `previous` are its own while an id is on it; `dueAt` gives when an entry is due. */
export function createTimingWheel(
  next: Int32Array,
  previous: Int32Array,
  dueAt: (id: number) => number,
  startMs: number,
): TimingWheel {
  const heads = new Int32Array(LEVELS * LISTS).fill(-1);
  let second = Math.floor(startMs / 1000);

  function listFor(dueMs: number): number {
    const due = Math.max(second + 1, Math.min(Math.ceil(dueMs / 1000), second + LISTS ** LEVELS - 1));
    let level = 0;
    while (level < LEVELS - 1 && due - second >= LISTS ** (level + 1)) level++;
    return level * LISTS + (Math.floor(due / LISTS ** level) & (LISTS - 1));
  }

  function unlink(id: number): void {
    const after = next[id] as number;
    const before = previous[id] as number;
    // The first of a list points back at the list itself.
    if (before < 0) heads[-before - 1] = after;
    else next[before] = after;
    if (after !== -1) previous[after] = before;
  }

  function link(id: number, list: number): void {
    const head = heads[list] as number;
    next[id] = head;
    previous[id] = -list - 1;
    if (head !== -1) previous[head] = id;
    heads[list] = id;
  }

  /** Moves up to `limit` entries of the coarser lists that begin at this second to finer ones. Returns how many. */
  function cascade(limit: number): number {
    let moved = 0;
    for (let level = LEVELS - 1; level > 0; level--) {
      if (second % LISTS ** level !== 0) continue;
      const list = level * LISTS + (Math.floor(second / LISTS ** level) & (LISTS - 1));
      for (let id = heads[list] as number; id !== -1 && moved < limit; id = heads[list] as number) {
        unlink(id);
        const due = Math.ceil(dueAt(id) / 1000);
        link(id, due <= second ? second & (LISTS - 1) : listFor(dueAt(id)));
        moved++;
      }
    }
    return moved;
  }

  return {
    add: (id, dueMs) => link(id, listFor(dueMs)),
    remove: unlink,
    advance(nowMs, limit, due) {
      const target = Math.floor(nowMs / 1000);
      let left = limit;
      for (;;) {
        left -= cascade(left);
        const list = second & (LISTS - 1);
        for (let id = heads[list] as number; id !== -1 && left > 0; id = heads[list] as number) {
          unlink(id);
          left--;
          due(id);
        }
        if (left <= 0) return true;
        if (second >= target) return false;
        second++;
      }
    },
  };
}
