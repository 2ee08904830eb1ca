/**
 * Versions as programs print them: finds the first `1.2.3` (or `1.2`) in a text and compares it with what is needed.
 */

/** Major, minor and patch. */
export type Version = readonly [major: number, minor: number, patch: number];

/** The first version in a text, such as the output of `--version`; undefined if there is none. Paths are passed over. */
export function parseVersion(text: string): Version | undefined {
  const match = /(?<![\d.])v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(text.replaceAll(/\S*\/\S*/g, ""));
  if (match === null) return undefined;
  return [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

/** `9.7.4`. */
export function formatVersion(version: Version): string {
  return version.join(".");
}

/** Whether `version` is `wanted` or newer. */
export function isAtLeast(version: Version, wanted: Version): boolean {
  for (const [i, part] of version.entries()) {
    const other = wanted[i] ?? 0;
    if (part !== other) return part > other;
  }
  return true;
}
