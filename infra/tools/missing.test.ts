import { describe, expect, test } from "vitest";
import { allOrMissing, MissingToolsError, type Missing } from "./missing.ts";

const mysql: Missing = {
  tool: "mysql",
  needed: "MySQL 9.7 (mysqld)",
  attempts: [
    { way: "PATH", reason: "/usr/sbin/mysqld is version 8.0.36" },
    { way: "Debian packages", reason: "apt-get is not on this machine" },
  ],
  keys: ["local.tools.mysqld"],
};
const redis: Missing = { tool: "redis", needed: "Redis 7", attempts: [], keys: ["local.tools.redis"] };

describe("MissingToolsError", () => {
  test("says what is missing, each way that was tried with its reason, and what to do", () => {
    const { message } = new MissingToolsError([mysql, redis]);
    expect(message).toContain("servers are missing: MySQL 9.7 (mysqld), Redis 7");
    expect(message).toContain("tried PATH: /usr/sbin/mysqld is version 8.0.36");
    expect(message).toContain("tried Debian packages: apt-get is not on this machine");
    expect(message).toContain("docker compose up");
    expect(message).toContain("set local.tools.mysqld or local.tools.redis in the file");
  });
});

describe("allOrMissing", () => {
  test("returns every result in order", async () => {
    expect(await allOrMissing([Promise.resolve(1), Promise.resolve("b")])).toEqual([1, "b"]);
  });

  test("names all missing servers, not the first only", async () => {
    const searches = [mysql, redis].map((one) => Promise.reject(new MissingToolsError([one])));
    const error = await allOrMissing(searches).catch((error: unknown) => error as MissingToolsError);
    expect((error as MissingToolsError).missing).toEqual([mysql, redis]);
  });

  test("any other failure comes first", async () => {
    const searches = [Promise.reject(new MissingToolsError([mysql])), Promise.reject(new Error("aborted"))];
    await expect(allOrMissing(searches)).rejects.toThrow("aborted");
  });
});
