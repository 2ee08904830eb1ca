/**
 * Redis 7 or newer, or Valkey, which speaks the same protocol.
 */
import { installDebian } from "./debian.ts";
import { searchTool, type Recipe } from "./search.ts";
import type { Tool, ToolOptions } from "./tool.ts";
import { isAtLeast } from "./version.ts";

/** A `redis-server` or `valkey-server`. */
export type RedisTool = Tool;

const recipe: Recipe = {
  name: "redis",
  needed: "Redis or Valkey 7 or newer (redis-server)",
  pin: "8",
  programs: ["redis-server", "valkey-server"],
  isFit: (version) => isAtLeast(version, [7, 0, 0]),
  keys: ["local.tools.redis", "local.tools.redisUrl"],
  ways: [
    {
      name: "Debian packages of sid",
      install: (context) =>
        installDebian(
          {
            suite: "sid",
            seed: "redis-server",
            program: "usr/bin/redis-server",
            unneeded:
              /^(adduser|base-passwd|passwd|login|debconf|libdebconf|libpam|libsemanage|libsepol|libaudit|libselinux|libdb5|libbsd0|libmd0|libacl1|libbz2|libpcre2|libcap-ng0|libcrypt1|libc-gconv|gcc-.*-base|openssl-provider-legacy)/,
          },
          context,
        ),
    },
  ],
};

/** Finds or installs Redis. Rejects with `MissingToolsError`. */
export function ensureRedis(options: ToolOptions = {}): Promise<RedisTool> {
  return searchTool(recipe, options);
}
