/**
 * The configuration file of a member. Four settings matter most and none is MySQL's default: `member_expel_timeout=0`
 * (a crashed primary is replaced after 7 s, not 22 s), `paxos_single_leader=ON` (a dead secondary does not slow writes),
 * `super_read_only=ON` (a member that failed to join cannot be written), `unreachable_majority_timeout=5` (a primary that
 * is cut off stops, instead of hanging its writers).
 */
import { join } from "node:path";

/** One member of a group on this machine. */
export interface MemberCnf {
  /** From 1; also the server id. */
  readonly number: number;
  readonly dataFolder: string;
  readonly socket: string;
  readonly port: number;
  /** One UUID for the whole group; the UUID part of all its GTIDs. */
  readonly groupName: string;
  /** Ports of all members, this one's too. */
  readonly groupPorts: readonly number[];
  /** Root of a private installation of MySQL; absent for one that lies where it expects itself. */
  readonly root?: string | undefined;
  /** Gives up durability for speed. For tests only. */
  readonly volatile?: boolean | undefined;
}

/** `[mysqld]` of one member. */
export function memberCnf(member: MemberCnf): string {
  const { dataFolder, port } = member;
  return section([
    ...installation(member.root),
    `datadir=${dataFolder}`,
    `socket=${member.socket}`,
    `pid_file=${dataFolder}.pid`,
    `server_id=${member.number}`,
    `port=${port}`,
    "bind_address=127.0.0.1", // the group talks over this same port
    "report_host=127.0.0.1", // what members and pools see as MEMBER_HOST; never the hostname
    `report_port=${port}`,
    "skip_name_resolve=ON", // no DNS in the failure path
    "relay_log=relay", // else named after the hostname, and breaks when that changes
    "session_track_gtids=OWN_GTID", // a GTID in every OK packet: consistency tokens are made of them
    "super_read_only=ON", // the group itself clears it, on the elected primary only
    ...groupSettings(member),
    ...smallSizes(),
    "max_connections=200",
    ...(member.volatile === true ? volatileSettings() : []),
  ]);
}

/** `[mysqld]` for making the template of a data folder. */
export function initialisationCnf(options: {
  dataFolder: string;
  initFile: string;
  root?: string | undefined;
}): string {
  return section([
    ...installation(options.root),
    `datadir=${options.dataFolder}`,
    `init_file=${options.initFile}`,
    ...smallSizes(),
  ]);
}

function installation(root: string | undefined): readonly string[] {
  return [
    ...(root === undefined
      ? []
      : [
          `basedir=${join(root, "usr")}`,
          // Otherwise looked up in the host's /usr.
          `plugin_dir=${join(root, "usr/lib/mysql/plugin")}`,
          `lc_messages_dir=${join(root, "usr/share/mysql")}`,
          `character_sets_dir=${join(root, "usr/share/mysql/charsets")}`,
        ]),
    "secure_file_priv=NULL", // the built-in folder does not exist, and the server would not start
    "mysqlx=OFF",
    ...(process.getuid?.() === 0 ? ["user=root"] : []),
  ];
}

function groupSettings({ groupName, port, groupPorts }: MemberCnf): readonly string[] {
  return [
    "plugin_load_add=group_replication.so",
    `group_replication_group_name=${groupName}`,
    `group_replication_local_address=127.0.0.1:${port}`,
    `group_replication_group_seeds=${groupPorts.map((port) => `127.0.0.1:${port}`).join(",")}`,
    "group_replication_communication_stack=MYSQL", // one port, accounts and TLS instead of an allow list
    "group_replication_start_on_boot=OFF", // the supervisor decides who starts when
    "group_replication_member_expel_timeout=0",
    "group_replication_paxos_single_leader=ON", // group-wide: needs a full restart to change
    "group_replication_unreachable_majority_timeout=5",
    "group_replication_message_cache_size=128M",
  ];
}

function smallSizes(): readonly string[] {
  return [
    "innodb_buffer_pool_size=32M",
    "innodb_redo_log_capacity=16M",
    "innodb_log_buffer_size=4M",
    "performance_schema=OFF", // saves 140 MB; the tables about the group work all the same
    "table_open_cache=400",
    "table_definition_cache=400",
    "key_buffer_size=8K",
  ];
}

function volatileSettings(): readonly string[] {
  return [
    "innodb_flush_log_at_trx_commit=0",
    "sync_binlog=0",
    "innodb_doublewrite=OFF",
    "innodb_flush_method=nosync",
  ];
}

function section(lines: readonly string[]): string {
  return `[mysqld]\n${lines.join("\n")}\n`;
}
