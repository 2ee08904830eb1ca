/**
 * `npm start`, `npm run status`, `npm run stop`, `npm run reset`: the local stack as real processes on loopback.
 *
 *   node infra/local/main.ts start|status|stop|reset [--profile full|small] [--config FILE]
 *
 * Exit status: 0 well; 1 something failed; 3 `status` found nothing running; 64 wrong arguments or configuration.
 */
import { parseArgs } from "node:util";
import { ConfigError, EXIT_USAGE, loadConfig, type Config } from "../../mesh/config.ts";
import { messageOf } from "../../mesh/errors.ts";
import { foldersOf, wipe } from "./folder.ts";
import { runStack } from "./start.ts";
import { stackStatus } from "./status.ts";
import { stopStack } from "./stop.ts";
import type { Profile } from "./topology.ts";

const VERBS = ["start", "status", "stop", "reset"] as const;
const USAGE = `usage: ${VERBS.join("|")} [--profile full|small] [--config FILE]`;

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof ConfigError ? error.message : `Heddle: ${messageOf(error)}`);
  process.exitCode = error instanceof ConfigError ? EXIT_USAGE : 1;
}

async function main(argv: readonly string[]): Promise<number> {
  const { verb, config } = parse(argv);
  const folders = foldersOf(config.local?.folder || ".heddle");
  switch (verb) {
    case "start":
      return runStack(config, (config.local?.profile || "full") as Profile, folders);
    case "status": {
      const { text, exitCode } = await stackStatus(folders.root);
      console.log(text);
      return exitCode;
    }
    case "stop":
      console.log((await stopStack(folders.root)) ? "Heddle has stopped" : "Heddle was not running here");
      return 0;
    case "reset":
      await stopStack(folders.root);
      wipe(folders);
      console.log(`Heddle's data, logs and state below ${folders.root} are gone`);
      return 0;
  }
}

function parse(argv: readonly string[]): { verb: (typeof VERBS)[number]; config: Config } {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { profile: { type: "string" }, config: { type: "string" } },
    });
  } catch (error) {
    throw new ConfigError([`${messageOf(error)}; ${USAGE}`]);
  }
  const verb = VERBS.find((known) => known === parsed.positionals[0]);
  if (verb === undefined || parsed.positionals.length > 1) throw new ConfigError([USAGE]);
  const { config, profile } = parsed.values;
  const env = profile === undefined ? process.env : { ...process.env, HEDDLE__LOCAL__PROFILE: profile };
  return { verb, config: loadConfig(config === undefined ? [] : ["--config", config], env) };
}
