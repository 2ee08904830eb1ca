/**
 * GTID sets as MySQL prints them (`uuid:1-5:9,uuid:tag:1-3`): union and subset, enough to tell which member has seen all
 * that any member has seen. https://dev.mysql.com/doc/refman/9.7/en/replication-gtids-concepts.html
 */

/** Intervals, both ends included, sorted and apart, by source (`uuid` or `uuid:tag`). */
export type GtidSet = ReadonlyMap<string, readonly Interval[]>;

type Interval = readonly [first: bigint, last: bigint];

/** Reads a set. Throws a TypeError on text that is none. */
export function parseGtidSet(text: string): GtidSet {
  const found = new Map<string, Interval[]>();
  for (const part of text.split(",")) {
    const [uuid = "", ...rest] = part.trim().toLowerCase().split(":");
    if (uuid === "" && rest.length === 0) continue;
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid))
      throw new TypeError(`no GTID set: ${text}`);
    let source = uuid;
    for (const piece of rest.map((piece) => piece.trim())) {
      const interval = /^(\d+)(?:-(\d+))?$/.exec(piece);
      if (interval === null) {
        if (!/^[a-z_]\w{0,31}$/.test(piece)) throw new TypeError(`no GTID set: ${text}`);
        source = `${uuid}:${piece}`;
        continue;
      }
      const first = BigInt(interval[1] ?? 0);
      const intervals = found.get(source) ?? [];
      found.set(source, [...intervals, [first, BigInt(interval[2] ?? first)]]);
    }
  }
  return new Map([...found].map(([source, intervals]) => [source, merge(intervals)]));
}

/** All that is in one set or the other. */
export function union(a: GtidSet, b: GtidSet): GtidSet {
  const sources = new Set([...a.keys(), ...b.keys()]);
  return new Map(
    [...sources].map((source) => [source, merge([...(a.get(source) ?? []), ...(b.get(source) ?? [])])]),
  );
}

/** Whether all of `part` is in `whole`. */
export function isSubset(part: GtidSet, whole: GtidSet): boolean {
  return [...part].every(([source, intervals]) =>
    intervals.every(([first, last]) =>
      (whole.get(source) ?? []).some((other) => other[0] <= first && last <= other[1]),
    ),
  );
}

// Intervals that touch become one, so that each interval of a subset lies within a single interval of the whole.
function merge(intervals: readonly Interval[]): Interval[] {
  const merged: [bigint, bigint][] = [];
  for (const [first, last] of [...intervals].sort((a, b) => (a[0] < b[0] ? -1 : 1))) {
    const previous = merged.at(-1);
    if (previous !== undefined && first <= previous[1] + 1n) {
      if (last > previous[1]) previous[1] = last;
    } else {
      merged.push([first, last]);
    }
  }
  return merged;
}
