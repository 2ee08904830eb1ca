import { describe, expect, test } from "vitest";
import { debianSource, packagesToInstall, parsePackages } from "./apt.ts";

describe("debianSource", () => {
  test.each([
    [
      "the release proper",
      "http://mirror/x/|bookworm-updates|Debian\nhttp://mirror/debian/|bookworm|Debian",
      "http://mirror/debian/",
    ],
    [
      "the mirror whose origin is Debian",
      "http://other/apt|stable|Other\nhttp://mirror/d/|trixie|Debian",
      "http://mirror/d/",
    ],
    [
      "a mirror by its path before lists were fetched",
      "http://other/apt|stable|\nhttp://mirror/debian|trixie|",
      "http://mirror/debian",
    ],
  ])("takes %s", (_, lines, source) => {
    expect(debianSource(lines)).toBe(source);
  });

  test("finds none on another distribution", () => {
    expect(debianSource("http://mirror/ubuntu/|noble|Ubuntu\n")).toBeUndefined();
    expect(debianSource("")).toBeUndefined();
  });
});

test("packagesToInstall reads a dry run", () => {
  const text =
    "NOTE: only a simulation\nInst libc6 (2.43-7 Debian:unstable [amd64]) []\nInst x [1.0] (1:2.0+b1 Debian:unstable [all])\nConf libc6 (2.43-7)\n";
  expect(packagesToInstall(text)).toEqual(["libc6=2.43-7", "x=1:2.0+b1"]);
});

test("parsePackages reads what a file is called and must hash to", () => {
  const text =
    "Package: redis-tools\nArchitecture: amd64\nVersion: 5:8.0.6-3\nSize: 1294872\nSHA256: abc\n\nPackage: b\nVersion: 1\nArchitecture: all\nSize: 2\nSHA256: def\n";
  expect(parsePackages(text)).toEqual([
    {
      name: "redis-tools",
      version: "5:8.0.6-3",
      file: "redis-tools_5%3a8.0.6-3_amd64.deb",
      sizeBytes: 1294872,
      sha256: "abc",
    },
    { name: "b", version: "1", file: "b_1_all.deb", sizeBytes: 2, sha256: "def" },
  ]);
});
