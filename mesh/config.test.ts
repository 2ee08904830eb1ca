import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, durationMs, loadConfig, mysqlPassword } from "./config.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "heddle-config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function load(yaml: string, env: Record<string, string> = {}) {
  const file = join(folder, "config.yaml");
  writeFileSync(file, yaml);
  return loadConfig(["--config", file], env);
}

function problems(yaml: string, env: Record<string, string> = {}): readonly string[] {
  try {
    load(yaml, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("loadConfig", () => {
  test("reads the file of the documentation", () => {
    const config = load(`
listen: 127.0.0.1:8080        # public edge
upstreams:
  - name: library
    address: 127.0.0.1:9000
drain_timeout: 0.25s
`);
    expect(config.listen).toBe("127.0.0.1:8080");
    expect(config.upstreams[0]).toMatchObject({ name: "library", address: "127.0.0.1:9000" });
    expect(durationMs(config.drainTimeout, 1)).toBe(250);
  });

  test("needs neither file nor variables", () => {
    expect(durationMs(loadConfig([], {}).drainTimeout, 25_000)).toBe(25_000);
  });

  test("puts variables over the file, converted to the type of their field", () => {
    const config = load("mysql: { database: order, pool_size: 3 }\nedge: { ignoreUnknownFields: false }", {
      HEDDLE__MYSQL__POOL_SIZE: "12",
      HEDDLE__MYSQL__SEEDS: "127.0.0.1:3311, 127.0.0.1:3312",
      HEDDLE__EDGE__IGNORE_UNKNOWN_FIELDS: "true",
      HEDDLE__LOCAL__PORTS__GATEWAY: "8088",
      OTHER: "ignored",
    });
    expect(config.mysql).toMatchObject({
      database: "order",
      poolSize: 12,
      seeds: ["127.0.0.1:3311", "127.0.0.1:3312"],
    });
    expect(config.edge?.ignoreUnknownFields).toBe(true);
    expect(config.local?.ports).toEqual({ gateway: 8088 });
  });

  test("reports every problem at once, each with its path", () => {
    const found = problems(
      "listen: 8080\nlsiten: x\nmysql: { poolsize: 3, pool_size: many }\nupstreams: [{ adress: a }, 7]\nredis: true\ndrain_timeout: 250ms",
      { HEDDLE__REDDIS__URL: "x", HEDDLE__MYSQL: "y" },
    );
    expect(found).toHaveLength(10);
    for (const start of [
      "HEDDLE__REDDIS__URL: unknown key",
      "HEDDLE__MYSQL: names a section",
      "listen: expected text, found number 8080",
      'lsiten: unknown key "lsiten"; known here: listen, ',
      "mysql.poolsize: unknown key",
      "mysql.pool_size: expected a number, found text",
      "upstreams[0].adress: unknown key",
      "upstreams[1]: expected keys and values, found number 7",
      "redis: expected keys and values, found boolean true",
      "drain_timeout: expected a duration such as 0.25s, found text",
    ]) {
      expect(
        found.some((problem) => problem.startsWith(start)),
        `${start}\n${found.join("\n")}`,
      ).toBe(true);
    }
  });

  test("checks the rules that stand in the schema", () => {
    const found = problems(
      "listen: nowhere\nlog: { level: loud }\nupstreams: [{ name: '', address: 'h:1' }]",
    );
    expect(found).toHaveLength(3);
    expect(found.join("\n")).toMatch(/listen.*\n.*upstreams\[0\]\.name.*\n.*log\.level/s);
  });

  test("names the file and the line of bad YAML", () => {
    expect(problems("listen: [")[0]).toMatch(/config\.yaml: .* at line 1/);
  });

  test("names a file that cannot be read, and unknown arguments", () => {
    expect(() => loadConfig(["--config", join(folder, "none.yaml")], {})).toThrow(/none\.yaml: ENOENT/);
    expect(() => loadConfig(["--port", "1"], {})).toThrow(/--port.*usage: --config FILE/s);
  });

  test("never shows a secret", () => {
    expect(problems("mysql: { password: [hunter2] }").join()).not.toContain("hunter2");
  });

  test("is frozen", () => {
    const config = load("mysql: { database: order }");
    expect(() => Object.assign(config.mysql ?? {}, { database: "other" })).toThrow(TypeError);
  });
});

test("mysqlPassword takes the first line of the file, else the value", () => {
  const file = join(folder, "password");
  writeFileSync(file, "from-file\nrest\n");
  expect(mysqlPassword(load(`mysql: { password: value, password_file: ${file} }`))).toBe("from-file");
  expect(mysqlPassword(load("mysql: { password: value }"))).toBe("value");
  expect(() => mysqlPassword(load("mysql: { password_file: /nowhere }"))).toThrow(
    /mysql\.password_file: ENOENT/,
  );
});
