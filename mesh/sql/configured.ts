/** The database of a service, as its configuration says. */
import { ConfigError, durationMs, EXIT_USAGE, mysqlPassword, type Config } from "../config.ts";
import type { Metrics } from "../observe/metrics.ts";
import { createDatabase, type Database, type DatabaseOptions } from "./database.ts";

/**
 * Options from the section `mysql`. An instance reads from the member of its own number.
 *
 * @throws ConfigError if `mysql` lacks something, or its password file cannot be read.
 */
export function databaseOptions(config: Config): DatabaseOptions {
  const { mysql, instance } = config;
  const database = mysql?.database ?? "";
  const problems = [
    ...((mysql?.seeds ?? []).length === 0 ? ["mysql.seeds: name at least one member, host:port"] : []),
    ...(database === "" ? ["mysql.database: name the schema of the service"] : []),
  ];
  if (mysql === undefined || problems.length > 0) throw new ConfigError(problems);
  return {
    seeds: mysql.seeds,
    database,
    user: mysql.user || database,
    password: mysqlPassword(config),
    holdMs: durationMs(mysql.holdTimeout, 15_000),
    ...(mysql.poolSize > 0 && { poolSize: mysql.poolSize }),
    ...(instance !== undefined && instance.number > 0 && { preferMember: instance.number }),
    ...(mysql.migrationUser !== "" && {
      migrationUser: mysql.migrationUser,
      migrationPassword: mysql.migrationPassword,
    }),
  };
}

/** The configured database. Prints what is wrong with the configuration and exits with 64. For `main.ts` files only. */
export function databaseOrExit(config: Config, metrics: Metrics): Database {
  try {
    return createDatabase({ ...databaseOptions(config), metrics });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return process.exit(EXIT_USAGE);
  }
}
