/** What a method owes a caller that reads what it has just written. */
import { currentTokens } from "./consistency.ts";
import type { Consistency, Database } from "./database.ts";

/**
 * How fresh a read must be so that the caller sees its own writes: a caller that brings a token is served by any member that
 * has caught up with it; one that brings none may have written a moment ago, and only the primary surely knows.
 */
export function callerConsistency(db: Pick<Database, "name">): Consistency {
  return (currentTokens()?.of(db.name).size ?? 0) > 0 ? "session" : "primary";
}
