/**
 * Looks at a MySQL group and changes it, beside the supervisor that leads it; or leads one whose members run elsewhere.
 *
 *   npm run mysql -- status                    one row for each member
 *   npm run mysql -- switchover PORT           another primary; its clients wait for less than a second
 *   npm run mysql -- bootstrap --force PORT    begins the group with this member although another one does not answer or
 *                                              has seen more: transactions that only others have are given up
 *   npm run mysql -- lead                      leads the group of `mysql.seeds` (for containers) until SIGTERM
 *
 * The group is that of `mysql.seeds` with the password of `mysql`, else the one in `local.folder`; give `--config FILE`
 * as for every process. Exit status: 0 well; 1 something failed, or the group is not whole; 64 wrong arguments.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ConfigError, EXIT_USAGE, loadConfig, mysqlPassword, type Config } from "../../mesh/config.ts";
import { messageOf } from "../../mesh/errors.ts";
import { table } from "../local/screen.ts";
import { AGENT_ACCOUNT, readPassword, REPLICATION_ACCOUNT } from "./accounts.ts";
import { forceBootstrap, observeGroup, switchoverTo } from "./commands.ts";
import { membersOf, readGroupFile } from "./folder.ts";
import { leadElsewhere } from "./elsewhere.ts";
import { createMember, type Member } from "./member.ts";
import { statusOf, statusRows } from "./status.ts";

const USAGE = "usage: status | switchover PORT | bootstrap --force PORT | lead   [--config FILE]";

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof ConfigError ? error.message : `mysql: ${messageOf(error)}`);
  process.exitCode = error instanceof ConfigError ? EXIT_USAGE : 1;
}

async function main(argv: readonly string[]): Promise<number> {
  const { verb, target, force, config } = parse(argv);
  if (verb === "lead") {
    if (config.mysql === undefined)
      throw new ConfigError(["mysql.seeds: lead needs the addresses of the members"]);
    await leadElsewhere(config, await membersOfGroup(config));
    return 0;
  }
  const members = await membersOfGroup(config);
  try {
    switch (verb) {
      case "status":
        return await printStatus(members);
      case "switchover":
        await switchoverTo(members, target);
        return await printStatus(members);
      case "bootstrap":
        if (!force)
          throw new ConfigError([`bootstrap gives up what other members have seen: add --force; ${USAGE}`]);
        await forceBootstrap(members, target);
        return await printStatus(members);
      default:
        throw new ConfigError([USAGE]);
    }
  } finally {
    for (const member of members) member.close();
  }
}

function parse(argv: readonly string[]) {
  const options = { force: { type: "boolean" }, config: { type: "string" } } as const;
  let parsed;
  try {
    parsed = parseArgs({ args: [...argv], allowPositionals: true, options });
  } catch (error) {
    throw new ConfigError([`${messageOf(error)}; ${USAGE}`]);
  }
  const { config, force } = parsed.values;
  const [verb = "", target = ""] = parsed.positionals;
  return {
    verb,
    target,
    force: force === true,
    config: loadConfig(config === undefined ? [] : ["--config", config], process.env),
  };
}

async function membersOfGroup(config: Config): Promise<readonly Member[]> {
  const seeds = config.mysql?.seeds ?? [];
  if (seeds.length > 0) {
    const password = mysqlPassword(config);
    return seeds.map((name) => createMember({ name }, { agent: password, replication: password }));
  }
  const folder = join(config.local?.folder || ".heddle", "data", "mysql");
  const file = await readGroupFile(folder).catch(() => {
    throw new Error(`there is no group in ${folder}: start it with npm start, or give mysql.seeds`);
  });
  const [agent, replication] = await Promise.all([
    readPassword(folder, AGENT_ACCOUNT),
    readPassword(folder, REPLICATION_ACCOUNT),
  ]);
  return membersOf(folder, file.ports).map((member) => createMember(member, { agent, replication }));
}

async function printStatus(members: readonly Member[]): Promise<number> {
  const { situations, decision } = await observeGroup(members);
  const status = statusOf(situations, decision);
  console.log(`${table(statusRows(status))}\n\nThe group is ${status.health}: ${status.why}`);
  return status.health === "whole" ? 0 : 1;
}
