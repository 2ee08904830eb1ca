/**
 * Consistency tokens as cookies: one for each schema that was written, so that a later one replaces an earlier one of the
 * same schema without being merged. A service gives back the union of what it got and what it wrote.
 */
import type { SetHeader } from "./metadata.ts";

const PREFIX = "heddle-db-token-";
const COOKIE = new RegExp(`(?:^|;)\\s*${PREFIX}([\\w$-]{1,64})=([^;]*)`, "g");

/** Replicas have caught up long before; a token that is kept longer only costs bytes. */
const MAX_AGE_S = 60;

/** The tokens in a `Cookie` header, as `x-heddle-db-token` has them; undefined if there are none. Never throws. */
export function tokensOfCookies(cookie: string | undefined): string | undefined {
  if (cookie === undefined || !cookie.includes(PREFIX)) return undefined;
  const entries = [...cookie.matchAll(COOKIE)].flatMap(([, schema = "", value = ""]) =>
    value.split("_").map((gtids) => `${schema}=${gtids}`),
  );
  const sound = entries.filter((entry) => /^[\w$-]+=[\w:-]+$/.test(entry));
  return sound.length === 0 ? undefined : sound.join(", ");
}

/** A `Cookie` header without them; null if nothing is left. */
export function withoutTokenCookies(cookie: string): string | null {
  const others = cookie.split(";").filter((each) => !each.trimStart().startsWith(PREFIX));
  return others.length === 0 ? null : others.map((each) => each.trim()).join("; ");
}

/** Sets a cookie for each schema of a token that a service has given back. */
export function giveTokenCookies(tokens: string | null, set: SetHeader): void {
  if (tokens === null) return;
  const bySchema = new Map<string, string[]>();
  for (const entry of tokens.split(",")) {
    const [schema = "", gtids = ""] = entry.trim().split("=");
    bySchema.set(schema, [...(bySchema.get(schema) ?? []), gtids]);
  }
  for (const [schema, gtids] of bySchema) {
    const value = `${PREFIX}${schema}=${gtids.join("_")}`;
    set("set-cookie", `${value}; Path=/; Max-Age=${MAX_AGE_S}; HttpOnly; SameSite=Lax`);
  }
}
