import { describe, expect, test } from "vitest";
import { classifyError, errorRules, isDuplicateKey, sqlError, SqlError } from "./errors.ts";

const made = (code: number | string) =>
  new SqlError("127.0.0.1:3306", {
    ...(typeof code === "number" && { errno: code }),
    code: String(code),
    message: "failed",
    fatal: typeof code === "string",
  });

const circumstances = { phase: "sent", healthy: false } as const;

describe("errorRules", () => {
  test.each(errorRules.map((rule) => [rule.code, rule.name, rule.class] as const))(
    "%s %s is %s",
    (code, _name, expected) => {
      expect(classifyError(made(code), circumstances)).toBe(expected);
      expect(classifyError(made(code), { ...circumstances, phase: "unsent" })).toBe(expected);
    },
  );

  test.each(
    errorRules.filter((rule) => rule.class === "lost").map((rule) => [rule.code, rule.name] as const),
  )("%s %s leaves the outcome unknown while committing", (code) => {
    expect(classifyError(made(code), { phase: "committing", healthy: false })).toBe("unknown");
  });

  test.each(
    errorRules.filter((rule) => rule.class !== "lost").map((rule) => [rule.code, rule.class] as const),
  )("%s is %s while committing too", (code, expected) => {
    expect(classifyError(made(code), { phase: "committing", healthy: false })).toBe(expected);
  });

  test("names no code twice", () => {
    expect(new Set(errorRules.map(({ code }) => code)).size).toBe(errorRules.length);
  });
});

describe("classifyError", () => {
  test("a member that is still in its group refuses a commit only for its size", () => {
    expect(classifyError(made(3100), { phase: "committing", healthy: true })).toBe("too_large");
    expect(classifyError(made(3100), { phase: "committing", healthy: false })).toBe("unknown");
  });

  test("what the table lacks is the caller's from the server, and a loss from the connection", () => {
    expect(classifyError(made(1234), circumstances)).toBe("caller");
    expect(classifyError(made("EWHATEVER"), circumstances)).toBe("lost");
  });
});

describe("sqlError", () => {
  test("keeps number, name and member of the server's error, and not its statement", () => {
    const driver = Object.assign(new Error("Duplicate entry"), {
      code: "ER_DUP_ENTRY",
      errno: 1062,
      sqlMessage: "Duplicate entry",
      sql: "INSERT INTO cards VALUES ('4111111111111111')",
    });
    const error = sqlError("10.0.0.1:3306", driver);
    expect(error).toMatchObject({ errno: 1062, code: "ER_DUP_ENTRY", member: "10.0.0.1:3306", fatal: false });
    expect(isDuplicateKey(error)).toBe(true);
    expect(JSON.stringify(error) + error.stack).not.toContain("4111");
  });

  test("takes errors of the socket as fatal, and those of a closed connection as not sent", () => {
    const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", errno: -104 });
    expect(sqlError("m:1", reset)).toMatchObject({ errno: 0, code: "ECONNRESET", fatal: true });
    const closed = sqlError("m:1", new Error("Can't add new command when connection is in closed state"));
    expect(classifyError(closed, { phase: "committing", healthy: false })).toBe("not_executed");
  });
});
