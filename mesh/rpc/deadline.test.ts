import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { EchoService } from "../../gen/ts/heddle/echo/v1/echo_pb.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { hasReason } from "../errors.ts";
import { detached, servedCall, type ServedCall } from "./context.ts";
import { createEcho } from "./echo.ts";
import { service } from "./server.ts";
import { createTestLog, failureOf, openChannel, startServer } from "./testing.ts";
import { createTransport } from "./transport.ts";

type Echo = ServiceImpl<typeof EchoService>["echo"];

async function startHop(echo: Echo) {
  const { address } = await startServer({ services: [service(EchoService, { ...createEcho(), echo })] });
  return createClient(EchoService, createTransport(openChannel({ address })));
}

/** Three servers in a row; the last one runs `last`. */
async function startChain(last: Echo, seen: (ServedCall | undefined)[]) {
  const third = await startHop((request, context) => {
    seen[2] = servedCall();
    return last(request, context);
  });
  const second = await startHop((request) => {
    seen[1] = servedCall();
    return third.echo({ text: request.text });
  });
  return startHop((request) => {
    seen[0] = servedCall();
    return second.echo({ text: request.text });
  });
}

function untilAborted({ signal }: HandlerContext): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
}

describe("a chain of three calls", () => {
  test("keeps one deadline that only shrinks, one trace and one request id", async () => {
    const seen: ServedCall[] = [];
    const echo = await startChain(({ text }) => ({ text }), seen);
    const begin = Date.now();
    await echo.echo({ text: "" }, { timeoutMs: 5000, headers: { "x-request-id": "r-7" } });
    const deadlines = seen.map(({ deadline }) => deadline);
    expect(deadlines).toHaveLength(3);
    // The wire carries a timeout in whole milliseconds, so each hop may round it by one.
    for (const deadline of deadlines) expect(deadline - begin).toBeLessThanOrEqual(5000 + 50);
    for (const deadline of deadlines) expect(deadline - begin).toBeGreaterThan(4000);
    expect(new Set(seen.map(({ trace }) => trace.traceId)).size).toBe(1);
    expect(new Set(seen.map(({ trace }) => trace.spanId)).size).toBe(3);
    expect(seen.map(({ requestId }) => requestId)).toEqual(["r-7", "r-7", "r-7"]);
  });

  test("stops the last hop when the deadline has passed, and says why", async () => {
    const stopped = Promise.withResolvers<unknown>();
    const echo = await startChain(({ text }, context) => {
      if (text === "connect") return { text };
      context.signal.addEventListener("abort", () => stopped.resolve(context.signal.reason));
      return untilAborted(context);
    }, []);
    await echo.echo({ text: "connect" });
    const error = await failureOf<ConnectError>(echo.echo({ text: "" }, { timeoutMs: 80 }));
    expect(error.code).toBe(Code.DeadlineExceeded);
    expect(hasReason(error, Reason.DEADLINE_EXCEEDED)).toBe(true);
    expect(await stopped.promise).toBeInstanceOf(ConnectError);
  });

  test("stops the last hop when the first caller gives up", async () => {
    const begun = Promise.withResolvers<void>();
    const stopped = Promise.withResolvers<unknown>();
    const echo = await startChain((_, context) => {
      context.signal.addEventListener("abort", () => stopped.resolve(context.signal.reason));
      begun.resolve();
      return untilAborted(context);
    }, []);
    const caller = new AbortController();
    const call = failureOf<ConnectError>(echo.echo({ text: "" }, { signal: caller.signal }));
    await begun.promise;
    caller.abort();
    expect((await call).code).toBe(Code.Canceled);
    expect(await stopped.promise).toMatchObject({ code: Code.Canceled });
  });

  test("a detached call outlives the one that caused it", async () => {
    const released = Promise.withResolvers<void>();
    const late = Promise.withResolvers<string>();
    const inner = await startHop(async ({ text }) => {
      await released.promise;
      return { text };
    });
    const outer = await startHop(({ text }) => {
      void detached(() =>
        inner.echo({ text: "late" }).then((answer) => late.resolve(answer.text), late.reject),
      );
      return { text };
    });
    await outer.echo({ text: "now" });
    released.resolve();
    expect(await late.promise).toBe("late");
  });
});

describe("handlers", () => {
  test("see how much time is left", async () => {
    const left: (number | undefined)[] = [];
    const echo = await startHop(({ text }, { timeoutMs }) => {
      left.push(timeoutMs());
      return { text };
    });
    await echo.echo({ text: "" });
    await echo.echo({ text: "" }, { timeoutMs: 2000 });
    expect(left[0]).toBeUndefined();
    expect(left[1]).toBeGreaterThan(1000);
    expect(left[1]).toBeLessThanOrEqual(2000);
  });

  test("are told when their call is over, also when it went well", async () => {
    const signals: AbortSignal[] = [];
    const echo = await startHop(({ text }, { signal }) => {
      signals.push(signal);
      return { text };
    });
    await echo.echo({ text: "" });
    expect(signals[0]?.aborted).toBe(true);
  });

  test("that ignore the deadline are logged once, as DEADLINE_EXCEEDED", async () => {
    const { log, lines } = createTestLog();
    const { address } = await startServer({
      log,
      services: [service(EchoService, { echo: (_, { signal }) => untilGone(signal) })],
    });
    const echo = createClient(EchoService, createTransport(openChannel({ address })));
    await failureOf(echo.echo({ text: "" }, { timeoutMs: 50 }));
    await expect.poll(() => lines.length).toBe(1);
    expect(lines[0]).toMatchObject({ code: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED" });
  });
});

describe("streams", () => {
  test("are cancelled on the server when the reader leaves early", async () => {
    const stopped = Promise.withResolvers<void>();
    const { address } = await startServer({
      services: [
        service(EchoService, {
          async *repeat(_, { signal }) {
            signal.addEventListener("abort", () => stopped.resolve());
            for (;;) {
              yield { text: "again" };
              await new Promise(setImmediate);
            }
          },
        }),
      ],
    });
    const caller = new AbortController();
    const echo = createClient(EchoService, createTransport(openChannel({ address })));
    const error = await failureOf(
      (async () => {
        for await (const { text } of echo.repeat({}, { signal: caller.signal })) {
          expect(text).toBe("again");
          caller.abort();
        }
      })(),
    );
    expect(error).toMatchObject({ code: Code.Canceled });
    await stopped.promise;
  });

  test("end at their deadline", async () => {
    const { address } = await startServer({
      services: [service(EchoService, { repeat: (_, context) => silence(context) })],
    });
    const echo = createClient(EchoService, createTransport(openChannel({ address })));
    const error = await failureOf(
      (async () => {
        for await (const _ of echo.repeat({}, { timeoutMs: 50 }));
      })(),
    );
    expect(error).toMatchObject({ code: Code.DeadlineExceeded });
  });
});

test("a deadline that has passed costs no call", async () => {
  const echo = await startHop(() => {
    throw new Error("must not run");
  });
  const error = await failureOf(echo.echo({ text: "", delay: durationFromMs(1) }, { timeoutMs: 0.0001 }));
  expect(error).toMatchObject({ code: Code.DeadlineExceeded });
});

async function* silence(context: HandlerContext): AsyncGenerator<{ text: string }> {
  await untilAborted(context);
  yield { text: "" };
}

async function untilGone(signal: AbortSignal): Promise<{ text: string }> {
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  return { text: "too late" };
}
