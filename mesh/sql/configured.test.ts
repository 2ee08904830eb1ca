import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ConfigSchema } from "../../gen/ts/heddle/config/v1/config_pb.ts";
import { ConfigError } from "../config.ts";
import { databaseOptions } from "./configured.ts";

const options = (init: MessageInitShape<typeof ConfigSchema>) => databaseOptions(create(ConfigSchema, init));

describe("databaseOptions", () => {
  test("needs little", () => {
    expect(options({ mysql: { seeds: ["127.0.0.1:3311"], database: "order", password: "x" } })).toEqual({
      seeds: ["127.0.0.1:3311"],
      database: "order",
      user: "order",
      password: "x",
      holdMs: 15_000,
    });
  });

  test("takes all that is configured, and the member of the instance's number", () => {
    const mysql = {
      seeds: ["a:1", "b:1"],
      database: "order",
      user: "orders",
      password: "x",
      poolSize: 3,
      holdTimeout: { seconds: 2n },
      migrationUser: "admin",
      migrationPassword: "y",
    };
    expect(options({ mysql, instance: { number: 2 } })).toEqual({
      seeds: ["a:1", "b:1"],
      database: "order",
      user: "orders",
      password: "x",
      poolSize: 3,
      holdMs: 2000,
      migrationUser: "admin",
      migrationPassword: "y",
      preferMember: 2,
    });
  });

  test("names everything that is missing", () => {
    const missing = (init: MessageInitShape<typeof ConfigSchema>) => {
      try {
        options(init);
      } catch (error) {
        return (error as ConfigError).problems.map((problem) => problem.split(":")[0]);
      }
      return [];
    };
    expect(missing({})).toEqual(["mysql.seeds", "mysql.database"]);
    expect(missing({ mysql: { database: "order" } })).toEqual(["mysql.seeds"]);
  });
});
