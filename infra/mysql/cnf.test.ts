import { describe, expect, test } from "vitest";
import { memberCnf, type MemberCnf } from "./cnf.ts";

const member: MemberCnf = {
  number: 2,
  dataFolder: "/data/n2",
  socket: "/data/n2.sock",
  port: 3312,
  groupName: "3f6a2b52-5a53-4c6e-9f6d-0b7f6d9f1a01",
  groupPorts: [3311, 3312, 3313],
};

describe("memberCnf", () => {
  test.each([
    "server_id=2",
    "super_read_only=ON",
    "group_replication_start_on_boot=OFF",
    "group_replication_member_expel_timeout=0",
    "group_replication_paxos_single_leader=ON",
    "group_replication_unreachable_majority_timeout=5",
    "group_replication_local_address=127.0.0.1:3312",
    "group_replication_group_seeds=127.0.0.1:3311,127.0.0.1:3312,127.0.0.1:3313",
    "bind_address=127.0.0.1",
  ])("sets %s", (line) => {
    expect(memberCnf(member).split("\n")).toContain(line);
  });

  test("keeps every promise of durability unless asked not to", () => {
    expect(memberCnf(member)).not.toMatch(/sync_binlog|flush_log|doublewrite/);
    expect(memberCnf({ ...member, volatile: true })).toContain("sync_binlog=0");
  });

  test("points a private installation at its own files", () => {
    expect(memberCnf(member)).not.toContain("basedir");
    expect(memberCnf({ ...member, root: "/cache/root" })).toContain(
      "plugin_dir=/cache/root/usr/lib/mysql/plugin",
    );
  });
});
