/**
 * GTID sets as MySQL prints them (`uuid:1-5:9,uuid:tag:1-3`): which transactions a member has, or a reader must see.
 * https://dev.mysql.com/doc/refman/9.7/en/replication-gtids-concepts.html
 */

/** Intervals, both ends included, sorted and apart, by source (`uuid` or `uuid:tag`). */
export type GtidSet = ReadonlyMap<string, readonly Interval[]>;

/** From the first to the last transaction number. */
export type Interval = readonly [first: bigint, last: bigint];

/** The set without a transaction. */
export const noGtids: GtidSet = new Map();

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TAG = /^[a-z_][a-z0-9_]{0,31}$/;
const INTERVAL = /^(\d{1,19})(?:-(\d{1,19}))?$/;
/** The server knows no larger transaction number. */
const LAST = 2n ** 63n - 2n;

/** Reads a set. Throws a TypeError on text that is none. */
export function parseGtidSet(text: string): GtidSet {
  const found = new Map<string, Interval[]>();
  for (const part of text.split(",")) {
    const [uuid = "", ...pieces] = part.toLowerCase().replaceAll(/\s/g, "").split(":");
    if (uuid === "" && pieces.length === 0) continue;
    if (!UUID.test(uuid)) throw malformed(text);
    let source = uuid;
    for (const piece of pieces) {
      if (TAG.test(piece)) source = `${uuid}:${piece}`;
      else found.set(source, [...(found.get(source) ?? []), interval(piece, text)]);
    }
  }
  return new Map([...found].map(([source, intervals]) => [source, joined(intervals)]));
}

/** Writes a set the way MySQL does. The empty set is the empty text. */
export function formatGtidSet(set: GtidSet): string {
  return [...set]
    .map(([source, intervals]) => `${source}${intervals.map((each) => `:${span(each)}`).join("")}`)
    .join(",");
}

/** All that is in one set or the other. */
export function unionOf(a: GtidSet, b: GtidSet): GtidSet {
  if (a.size === 0) return b;
  if (b.size === 0) return a;
  const union = new Map(a);
  for (const [source, intervals] of b) {
    const mine = union.get(source);
    union.set(source, mine === undefined ? intervals : joined([...mine, ...intervals]));
  }
  return union;
}

/** Whether all of `part` is in `whole`. */
export function isSubset(part: GtidSet, whole: GtidSet): boolean {
  return [...part].every(([source, intervals]) =>
    intervals.every(([first, last]) =>
      (whole.get(source) ?? []).some((other) => other[0] <= first && last <= other[1]),
    ),
  );
}

/**
 * A set with at most `maxIntervals` intervals that holds all of this one: the narrowest gaps are filled. Who waits for it
 * may wait for transactions of others too, but never for too few.
 */
export function simplified(set: GtidSet, maxIntervals: number): GtidSet {
  const result = new Map<string, Interval[]>([...set].map(([source, intervals]) => [source, [...intervals]]));
  for (let count = countIntervals(result); count > maxIntervals; count--) {
    const gap = narrowestGap(result);
    if (gap === undefined) break;
    const [intervals, at] = gap;
    intervals.splice(at, 2, [intervals[at]![0], intervals[at + 1]![1]]);
  }
  return result;
}

function narrowestGap(set: ReadonlyMap<string, Interval[]>): [Interval[], number] | undefined {
  let narrowest: [Interval[], number] | undefined;
  let width = LAST;
  for (const intervals of set.values()) {
    for (let at = 0; at + 1 < intervals.length; at++) {
      const gap = intervals[at + 1]![0] - intervals[at]![1];
      if (gap < width) [narrowest, width] = [[intervals, at], gap];
    }
  }
  return narrowest;
}

/** How many intervals a set has, of all sources. */
export function countIntervals(set: GtidSet): number {
  return [...set.values()].reduce((sum, intervals) => sum + intervals.length, 0);
}

function interval(piece: string, text: string): Interval {
  const match = INTERVAL.exec(piece);
  if (match === null) throw malformed(text);
  const first = BigInt(match[1]!);
  const last = BigInt(match[2] ?? first);
  if (first < 1n || last < first || last > LAST) throw malformed(text);
  return [first, last];
}

/** Intervals that touch become one, so that each interval of a subset lies within a single interval of the whole. */
function joined(intervals: readonly Interval[]): Interval[] {
  const result: [bigint, bigint][] = [];
  for (const [first, last] of [...intervals].sort((a, b) => (a[0] < b[0] ? -1 : 1))) {
    const previous = result.at(-1);
    if (previous === undefined || first > previous[1] + 1n) result.push([first, last]);
    else if (last > previous[1]) previous[1] = last;
  }
  return result;
}

function span([first, last]: Interval): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

function malformed(text: string): TypeError {
  return new TypeError(`not a GTID set: ${text.slice(0, 100)}`);
}
