/**
 * The accounts of a group and their passwords. The template of a member's data holds the accounts, locked; passwords are
 * made for each group, one file of mode 0600 each, and are set on a member before it takes part. They are never logged.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Carries transactions between members: the only account that the group itself uses. */
export const REPLICATION_ACCOUNT = "gr_repl";
/** Leads the group: observes members, starts and stops group replication, and shuts members down. Sees no data. */
export const AGENT_ACCOUNT = "mesh_agent";
/** Each service has a schema and an account of its own name, with all rights on that schema and none on others. */
export const SERVICE_ACCOUNTS = ["order", "inventory", "consumer", "kitchen", "accounting"] as const;

/** Every account that has a password. */
export const ACCOUNTS: readonly string[] = [REPLICATION_ACCOUNT, AGENT_ACCOUNT, ...SERVICE_ACCOUNTS];

/** Passwords by account. */
export type Passwords = Readonly<Record<string, string>>;

/** The statements that make schemas and accounts, locked and without a password. No GTIDs: they run at initialisation. */
export function templateSql(services: readonly string[] = SERVICE_ACCOUNTS): readonly string[] {
  const account = (name: string, more = "") => `CREATE USER '${name}'@'%'${more} ACCOUNT LOCK`;
  const grant = (rights: string, on: string, name: string) => `GRANT ${rights} ON ${on} TO '${name}'@'%'`;
  const replication = "REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM";
  const agent =
    "GROUP_REPLICATION_ADMIN, SYSTEM_VARIABLES_ADMIN, CONNECTION_ADMIN, REPLICATION_SLAVE_ADMIN, SHUTDOWN";
  return [
    account(REPLICATION_ACCOUNT, " REQUIRE SSL"),
    grant(replication, "*.*", REPLICATION_ACCOUNT),
    account(AGENT_ACCOUNT),
    grant(agent, "*.*", AGENT_ACCOUNT),
    grant("SELECT", "performance_schema.*", AGENT_ACCOUNT),
    ...services.flatMap((name) => [
      `CREATE DATABASE \`${name}\``,
      account(name),
      grant("ALL PRIVILEGES", `\`${name}\`.*`, name),
      grant("SELECT", "performance_schema.replication_group_members", name),
      grant("SELECT", "performance_schema.replication_group_member_stats", name),
    ]),
  ];
}

/** The statements that give the accounts their passwords and unlock them. Secret. */
export function passwordSql(passwords: Passwords): readonly string[] {
  return Object.entries(passwords).map(([account, password]) => {
    if (!/^[\w-]+$/.test(password)) throw new TypeError(`the password of ${account} needs quoting`);
    return `ALTER USER '${account}'@'%' IDENTIFIED BY '${password}' ACCOUNT UNLOCK`;
  });
}

/** Where the password of an account lies, below the folder of a group. */
export function passwordFile(folder: string, account: string): string {
  return join(folder, "passwords", account);
}

/** The passwords of a group; those that are not there yet are made. */
export async function ensurePasswords(folder: string): Promise<Passwords> {
  await mkdir(join(folder, "passwords"), { recursive: true, mode: 0o700 });
  const found = await Promise.all(
    ACCOUNTS.map(async (account) => [account, await ensurePassword(folder, account)]),
  );
  return Object.fromEntries(found) as Passwords;
}

/** The password of an account of an existing group. */
export async function readPassword(folder: string, account: string): Promise<string> {
  return (await readFile(passwordFile(folder, account), "utf8")).trim();
}

async function ensurePassword(folder: string, account: string): Promise<string> {
  const found = await readPassword(folder, account).catch(() => "");
  if (found !== "") return found;
  const password = randomBytes(24).toString("base64url");
  const path = passwordFile(folder, account);
  await writeFile(`${path}.draft`, `${password}\n`, { mode: 0o600 });
  await rename(`${path}.draft`, path);
  return password;
}
