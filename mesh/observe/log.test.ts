import { expect, test } from "vitest";
import { createLog, type LogOptions } from "./log.ts";

function lines(options: LogOptions, write: (log: ReturnType<typeof createLog>) => void) {
  const written: Record<string, unknown>[] = [];
  write(createLog(options, { write: (line) => written.push(JSON.parse(line) as Record<string, unknown>) }));
  return written;
}

test("a line says who, when and how bad", () => {
  const [line] = lines({ service: "order", instance: "order-1" }, (log) => log.warn({ n: 1 }, "careful"));
  expect(line).toMatchObject({ service: "order", instance: "order-1", level: "warn", n: 1, msg: "careful" });
  expect(new Date(String(line?.["time"])).toISOString()).toBe(line?.["time"]);
});

test("lines below the level are left out", () => {
  const written = lines({ service: "order", level: "error" }, (log) => {
    log.info("chatter");
    log.error("trouble");
  });
  expect(written.map(({ msg }) => msg)).toEqual(["trouble"]);
});

test("secrets are never written", () => {
  const [line] = lines({ service: "order" }, (log) =>
    log.info({
      password: "hunter2",
      mysql: { password: "hunter2", user: "order" },
      headers: { authorization: "x" },
    }),
  );
  expect(JSON.stringify(line)).not.toContain("hunter2");
  expect(line).toMatchObject({
    password: "[redacted]",
    mysql: { password: "[redacted]", user: "order" },
    headers: { authorization: "[redacted]" },
  });
});
