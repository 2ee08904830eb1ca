/**
 * Runs the migrations of a service on the primary, as the service itself does when it starts:
 *
 *   npm run migrate -- --service order              runs what has not run yet
 *   npm run migrate -- --service order --dry-run    tells what that would be
 *
 * The group is that of `mysql` in the configuration (`--config FILE`), else the one in `local.folder`. Exit status: 0
 * well; 1 a migration failed, or a file that has run was changed or is missing; 64 wrong arguments.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ConfigError, EXIT_USAGE, loadConfig, mysqlPassword, type Config } from "../mesh/config.ts";
import { messageOf } from "../mesh/errors.ts";
import { createDatabase, type Database } from "../mesh/sql/database.ts";
import { migrate, type Migration } from "../mesh/sql/migrate.ts";
import { readPassword } from "./mysql/accounts.ts";
import { readGroupFile } from "./mysql/folder.ts";

const USAGE = "usage: --service NAME [--dry-run] [--config FILE]";
const SERVICES = fileURLToPath(new URL("../services", import.meta.url));

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof ConfigError ? error.message : `migrate: ${messageOf(error)}`);
  process.exitCode = error instanceof ConfigError ? EXIT_USAGE : 1;
}

async function main(argv: readonly string[]): Promise<void> {
  const { service, dryRun, config } = parse(argv);
  const db = await databaseOf(service, config);
  try {
    print(await migrate(db, folderOf(service), { dryRun, timeoutMs: 30_000 }), dryRun);
  } finally {
    await db.close();
  }
}

function parse(argv: readonly string[]) {
  const options = {
    service: { type: "string" },
    "dry-run": { type: "boolean" },
    config: { type: "string" },
  } as const;
  let values;
  try {
    values = parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    throw new ConfigError([`${messageOf(error)}; ${USAGE}`]);
  }
  const { service, config } = values;
  if (service === undefined || !existsSync(folderOf(service))) {
    const names = readdirSync(SERVICES).filter((name) => existsSync(folderOf(name)));
    throw new ConfigError([`--service must be one of ${names.join(", ")}; ${USAGE}`]);
  }
  return {
    service,
    dryRun: values["dry-run"] === true,
    config: loadConfig(config === undefined ? [] : ["--config", config], process.env),
  };
}

function folderOf(service: string): string {
  return join(SERVICES, service, "migrations");
}

async function databaseOf(service: string, config: Config): Promise<Database> {
  const { seeds = [], database, user, migrationUser, migrationPassword } = config.mysql ?? {};
  if (seeds.length > 0) {
    const name = database || service;
    return createDatabase({
      seeds,
      database: name,
      user: user || name,
      password: mysqlPassword(config),
      ...(migrationUser ? { migrationUser, migrationPassword: migrationPassword ?? "" } : {}),
    });
  }
  const folder = join(config.local?.folder || ".heddle", "data", "mysql");
  const file = await readGroupFile(folder).catch(() => {
    throw new Error(`there is no group in ${folder}: start it with npm start, or give mysql.seeds`);
  });
  const password = await readPassword(folder, service);
  return createDatabase({
    seeds: file.ports.map((port) => `127.0.0.1:${port}`),
    database: service,
    user: service,
    password,
  });
}

function print(migrations: readonly Migration[], dryRun: boolean): void {
  if (migrations.length === 0) return console.log("nothing to run: the schema is up to date");
  for (const { source, name, statements } of migrations) {
    const count = `${statements.length} ${statements.length === 1 ? "statement" : "statements"}`;
    console.log(`${dryRun ? "would run" : "ran"} ${source} ${name} (${count})`);
  }
}
