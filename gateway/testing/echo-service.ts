/** The service that tests and benchmarks of the gateway call: it does what its requests say. */
import { create } from "@bufbuild/protobuf";
import { durationMs, type Duration } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { BadRequestSchema, RetryInfoSchema } from "../../gen/ts/google/rpc/error_details_pb.ts";
import { HttpBodySchema } from "../../gen/ts/google/api/httpbody_pb.ts";
import type { EchoService } from "../../gen/ts/heddle/testing/v1/echo_service_pb.ts";
import { sleep } from "../../mesh/clock.ts";

/** What a test sees of the calls. */
export interface EchoOptions {
  /** Which server this is, for `Inspect`. */
  readonly name?: string;
  /** Told when a call of `Wait` or `Count` begins to wait, and when its caller gave it up. */
  readonly onEvent?: (event: "waits" | "cancelled") => void;
}

/** Implements the echo service. */
export function createEchoService(options: EchoOptions = {}): ServiceImpl<typeof EchoService> {
  async function pause(duration: Duration | undefined, signal: AbortSignal): Promise<void> {
    if (duration === undefined) return;
    options.onEvent?.("waits");
    await sleep(durationMs(duration), signal).catch((error: unknown) => {
      options.onEvent?.("cancelled");
      throw error;
    });
  }
  return {
    echo: ({ sample }) => ({ ...(sample !== undefined && { sample }) }),
    getItem: (item) => ({ item }),
    cancelItem: ({ itemId, reason }) => ({ itemId, reason }),
    async wait({ duration }, { signal }) {
      await pause(duration, signal);
      return {};
    },
    fail({ code, message, retryAfter, fields }) {
      const error = new ConnectError(message, code in Code ? code : Code.Unknown, { "x-why": "told to" });
      if (retryAfter !== undefined) {
        error.details.push({ desc: RetryInfoSchema, value: { retryDelay: retryAfter } });
      }
      if (fields.length > 0) {
        const fieldViolations = fields.map((field) => ({ field, description: "wrong" }));
        error.details.push({ desc: BadRequestSchema, value: { fieldViolations } });
      }
      throw error;
    },
    inspect: ({ headers, trailers }, context) => inspect(headers, trailers, context, options.name ?? ""),
    download: ({ text }) =>
      create(HttpBodySchema, { contentType: "text/plain; charset=utf-8", data: Buffer.from(text) }),
    upload: ({ name, content }) => ({
      name,
      contentType: content?.contentType ?? "",
      size: BigInt(content?.data.length ?? 0),
    }),
    async *count({ to, interval, endCode, endMessage, padding }, { signal }) {
      const text = "x".repeat(padding);
      for (let number = 1; number <= to; number++) {
        if (number > 1) await pause(interval, signal);
        yield { number, sample: { int32: number, text } };
      }
      if (endCode in Code) throw new ConnectError(endMessage, endCode);
    },
    async *downloadPieces({ text }) {
      for (const letter of text) {
        yield create(HttpBodySchema, { contentType: "text/plain", data: Buffer.from(letter) });
      }
    },
    async sum(requests) {
      let sum = 0n;
      let count = 0;
      for await (const { number } of requests) {
        sum += number;
        count += 1;
      }
      return { sum, count };
    },
    async *chat(requests) {
      for await (const { text } of requests) yield { text };
    },
    unbound: () => ({}),
  };
}

function inspect(
  headers: Readonly<Record<string, string>>,
  trailers: Readonly<Record<string, string>>,
  context: HandlerContext,
  server: string,
) {
  for (const [name, value] of Object.entries(headers)) context.responseHeader.set(name, value);
  for (const [name, value] of Object.entries(trailers)) context.responseTrailer.set(name, value);
  const timeoutMs = context.timeoutMs();
  return {
    metadata: Object.fromEntries(context.requestHeader),
    server,
    ...(timeoutMs !== undefined && { timeoutMs: BigInt(Math.round(timeoutMs)) }),
  };
}
