import { describe, expect, test } from "vitest";
import { formatVersion, isAtLeast, parseVersion } from "./version.ts";

describe("parseVersion", () => {
  test.each([
    ["/usr/sbin/mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))", "9.7.4"],
    ["mysqld  Ver 8.0.36-0ubuntu0.22.04.1 for Linux on x86_64", "8.0.36"],
    ["Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=abc", "7.0.15"],
    ["Server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0", "8.1.1"],
    ["temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)", "1.9.1"],
    ["v1.5", "1.5.0"],
    ["/cache/mysql-9.7/root/usr/sbin/mysqld  Ver 9.8.1 for Linux", "9.8.1"],
  ])("reads %s", (text, version) => {
    expect(formatVersion(parseVersion(text)!)).toBe(version);
  });

  test("is undefined without a version", () => {
    expect(parseVersion("command not found")).toBeUndefined();
  });
});

describe("isAtLeast", () => {
  test.each([
    ["7.0.0", "7.0.0", true],
    ["8.0.6", "7.2.1", true],
    ["7.2.0", "7.2.1", false],
    ["6.9.9", "7.0.0", false],
    ["1.10.0", "1.9.9", true],
  ])("%s against %s is %s", (version, wanted, expected) => {
    expect(isAtLeast(parseVersion(version)!, parseVersion(wanted)!)).toBe(expected);
  });
});
