/**
 * All the servers that the local stack needs, looked for at the same time.
 */
import { allOrMissing } from "./missing.ts";
import { ensureMysql, type MysqlTool } from "./mysql.ts";
import { ensureRedis, type RedisTool } from "./redis.ts";
import { ensureTemporal, type TemporalTool } from "./temporal.ts";
import type { ToolName, ToolOptions } from "./tool.ts";

/** The options of every search, and the configured path of each program. */
export interface EnsureOptions extends Omit<ToolOptions, "configured"> {
  /** Paths from the configuration section `local.tools`. */
  readonly paths?: Partial<Record<ToolName, string>> | undefined;
  /** Servers that run elsewhere and are not looked for. */
  readonly except?: readonly ToolName[] | undefined;
}

/** What was found; a tool that was excepted is undefined. */
export interface Tools {
  readonly mysql: MysqlTool | undefined;
  readonly redis: RedisTool | undefined;
  readonly temporal: TemporalTool | undefined;
}

/** Finds or installs all servers. Rejects with one `MissingToolsError` that names every server that is missing. */
export async function ensureAll(options: EnsureOptions = {}): Promise<Tools> {
  const search = <T>(
    name: ToolName,
    ensure: (options: ToolOptions) => Promise<T>,
  ): Promise<T | undefined> => {
    if (options.except?.includes(name) === true) return Promise.resolve(undefined);
    return ensure({ ...options, configured: options.paths?.[name] });
  };
  const [mysql, redis, temporal] = await allOrMissing<
    [MysqlTool | undefined, RedisTool | undefined, TemporalTool | undefined]
  >([search("mysql", ensureMysql), search("redis", ensureRedis), search("temporal", ensureTemporal)]);
  return { mysql, redis, temporal };
}
