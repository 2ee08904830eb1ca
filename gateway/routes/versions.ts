/** Which of several versions of a service is the newest: the same answer at every gateway. */
import type { ServiceDescriptors } from "./types.ts";

type Version = Pick<ServiceDescriptors, "version" | "startedAtMs" | "digest">;

/** Sorts the newest first: by semantic version, then by start, then by digest, so that there is always one order. */
export function newestFirst(a: Version, b: Version): number {
  return (
    -compareVersions(a.version, b.version) || b.startedAtMs - a.startedAtMs || (a.digest < b.digest ? -1 : 1)
  );
}

const SEMVER = /^v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/;

/** Precedence of Semantic Versioning 2.0.0, section 11. What is no semantic version comes before all that are. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [SEMVER.exec(a), SEMVER.exec(b)];
  if (x === null || y === null) return Number(x !== null) - Number(y !== null);
  for (const part of [1, 2, 3]) {
    const difference = Number(x[part]) - Number(y[part]);
    if (difference !== 0) return difference;
  }
  return comparePrereleases(x[4], y[4]);
}

function comparePrereleases(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  const [x, y] = [a.split("."), b.split(".")];
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    const difference = compareIdentifiers(x[i], y[i]);
    if (difference !== 0) return difference;
  }
  return 0;
}

function compareIdentifiers(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0;
  if (a === undefined) return -1;
  if (b === undefined) return 1;
  const [x, y] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (x && y) return Number(a) - Number(b);
  if (x !== y) return x ? -1 : 1;
  return a < b ? -1 : 1;
}
