import {
  Code,
  ConnectError,
  createContextValues,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  currentTokens,
  inSession,
  TOKEN_HEADER,
  tokenClientInterceptor,
  Tokens,
  tokenServerInterceptor,
} from "./consistency.ts";
import { formatGtidSet, parseGtidSet } from "./gtid.ts";

const U = "3f6a2b52-5a53-4c6e-9f6d-0b7f6d9f1a01";
const V = "00000000-5a53-4c6e-9f6d-0b7f6d9f1a01";

function tokensOf(header: string): Tokens {
  const tokens = new Tokens();
  tokens.read(header);
  return tokens;
}

describe("Tokens", () => {
  test("merges what it reads, by schema and as sets", () => {
    const tokens = tokensOf(`order=${U}:1-3, inventory=${U}:7, order=${V}:4`);
    tokens.read(`order=${U}:4:1000001`);
    expect(tokens.header()).toBe(`order=${U}:1-4:1000001, order=${V}:4, inventory=${U}:7`);
  });

  test("gives back only what has grown", () => {
    const tokens = tokensOf(`order=${U}:1, inventory=${U}:7`);
    tokens.settle();
    expect(tokens.trailer()).toBeUndefined();
    tokens.add("order", parseGtidSet(`${U}:1`));
    expect(tokens.trailer()).toBeUndefined();
    tokens.add("order", parseGtidSet(`${U}:2`));
    expect(tokens.trailer()).toBe(`order=${U}:1-2`);
  });

  test("stays short however much was written, and still asks for all of it", () => {
    const tokens = new Tokens();
    for (let i = 1; i <= 100; i++) tokens.add("order", parseGtidSet(`${U}:${i * 10}`));
    expect(tokens.header()!.length).toBeLessThan(256);
    expect(formatGtidSet(tokens.of("order"))).toMatch(/^\S+:10-930:940/);
  });

  test.each([
    "",
    "order",
    "order=",
    "=x",
    `order=${U}`,
    `order=${U}:0`,
    "ünïcode=1",
    `or der=${U}:1`,
    ";;;",
    `${"x".repeat(5000)}=${U}:1`,
  ])("ignores %j", (header) => expect(tokensOf(header).header()).toBeUndefined());

  test("keeps what is well-formed beside what is not", () => {
    expect(tokensOf(`order=rubbish, inventory=${U}:7,`).header()).toBe(`inventory=${U}:7`);
  });

  test("does not grow without bound", () => {
    const many = Array.from({ length: 60 }, (_, i) => `s${i}=${U}:1`).join(",");
    expect(tokensOf(many).header()!.split(",")).toHaveLength(32);
  });
});

function request(header: Record<string, string> = {}): UnaryRequest {
  return { stream: false, header: new Headers(header), contextValues: createContextValues() } as UnaryRequest;
}

function response(trailer: Record<string, string> = {}): UnaryResponse {
  return { stream: false, trailer: new Headers(trailer) } as UnaryResponse;
}

describe("tokenServerInterceptor", () => {
  test("adds nothing to a call that wrote nothing", async () => {
    const answered = await tokenServerInterceptor()(async () => response())(
      request({ [TOKEN_HEADER]: `a=${U}:1` }),
    );
    expect(answered.trailer.has(TOKEN_HEADER)).toBe(false);
  });
});

describe("tokenClientInterceptor", () => {
  test("sends what the session has written, and keeps what the callee has", () =>
    inSession(async () => {
      currentTokens()!.add("order", parseGtidSet(`${U}:1`));
      const sent: (string | null)[] = [];
      const call = tokenClientInterceptor()(async (each) => {
        sent.push(each.header.get(TOKEN_HEADER));
        return response({ [TOKEN_HEADER]: `inventory=${U}:9` });
      });
      await call(request());
      await call(request());
      expect(sent).toEqual([`order=${U}:1`, `order=${U}:1, inventory=${U}:9`]);
    }));

  test("keeps what a call that failed has written", () =>
    inSession(async () => {
      const call = tokenClientInterceptor()(() =>
        Promise.reject(new ConnectError("no", Code.Aborted, { [TOKEN_HEADER]: `inventory=${U}:9` })),
      );
      await expect(call(request())).rejects.toThrow("no");
      expect(currentTokens()!.header()).toBe(`inventory=${U}:9`);
    }));

  test("does nothing outside of calls and sessions", async () => {
    const call = tokenClientInterceptor()(async (each) => {
      expect(each.header.has(TOKEN_HEADER)).toBe(false);
      return response({ [TOKEN_HEADER]: `inventory=${U}:9` });
    });
    await call(request());
    expect(currentTokens()).toBeUndefined();
  });
});
