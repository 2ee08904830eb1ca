/**
 * The error of a machine on which a server can neither be found nor installed: what is missing, what was tried and why
 * it did not work, and what to do. Several missing servers are one error.
 */
import type { ToolName } from "./tool.ts";

/** A way that was tried, and why it did not lead to a program. */
export interface Attempt {
  readonly way: string;
  readonly reason: string;
}

/** A server that could not be had. */
export interface Missing {
  readonly tool: ToolName;
  /** What is needed, such as `MySQL 9.7 (mysqld)`. */
  readonly needed: string;
  readonly attempts: readonly Attempt[];
  /** The configuration keys that point at a program or a server that is already there. */
  readonly keys: readonly string[];
}

/** One or more servers are missing. */
export class MissingToolsError extends Error {
  readonly missing: readonly Missing[];

  constructor(missing: readonly Missing[]) {
    super(describeMissing(missing));
    this.name = "MissingToolsError";
    this.missing = missing;
  }
}

/** Waits for all searches, and throws one error that names every server that is missing. */
export async function allOrMissing<T extends readonly unknown[]>(searches: {
  readonly [K in keyof T]: Promise<T[K]>;
}): Promise<T> {
  const results = await Promise.allSettled(searches);
  const reasons = results
    .filter((result) => result.status === "rejected")
    .map((result) => result.reason as unknown);
  const other = reasons.find((reason) => !(reason instanceof MissingToolsError));
  if (other !== undefined) throw other;
  if (reasons.length > 0) {
    throw new MissingToolsError(reasons.flatMap((reason) => (reason as MissingToolsError).missing));
  }
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as unknown as T;
}

function describeMissing(missing: readonly Missing[]): string {
  const names = missing.map(({ needed }) => needed).join(", ");
  const keys = missing.flatMap((one) => one.keys);
  return [
    `${missing.length === 1 ? "a server is" : "servers are"} missing: ${names}`,
    ...missing.flatMap(({ needed, attempts }) => [
      `  ${needed}:`,
      ...attempts.map(({ way, reason }) => `    tried ${way}: ${reason}`),
    ]),
    "  What to do: run everything in containers with `docker compose up`,",
    `  or set ${keys.join(" or ")} in the file given with --config.`,
  ].join("\n");
}
