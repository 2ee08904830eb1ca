import { ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { replyHeaders, replyTrailers, requestMetadata } from "./metadata.ts";

const peer = { address: "192.0.2.7", scheme: "http", host: "api.test" } as const;

function mapped(headers: Record<string, string | string[]>): Record<string, string> {
  return Object.fromEntries(requestMetadata(headers, peer));
}

describe("requestMetadata", () => {
  test("passes on what a service may want", () => {
    const headers = {
      authorization: "Bearer x",
      "accept-language": "de",
      "idempotency-key": "k1",
      cookie: "a=b",
      "last-event-id": "7",
      "x-custom": "yes",
    };
    expect(mapped(headers)).toMatchObject(headers);
  });

  test("strips the prefix of explicit metadata and normalises base64", () => {
    expect(mapped({ "grpc-metadata-tenant": "t1", "grpc-metadata-key-bin": "-_8=" })).toMatchObject({
      tenant: "t1",
      "key-bin": "+/8",
    });
  });

  test.each([
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "origin",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "grpc-timeout",
    "grpc-encoding",
    "sec-fetch-mode",
    "x-heddle-attempt",
    "connect-protocol-version",
    ":path",
  ])("leaves out %s", (name) => {
    expect(mapped({ [name]: "x" })).not.toHaveProperty([name]);
  });

  test("leaves out headers that Connection names", () => {
    expect(mapped({ connection: "close, X-Hop", "x-hop": "1" })).not.toHaveProperty("x-hop");
  });

  test("leaves out values that gRPC cannot carry, and refuses them where they were meant for it", () => {
    expect(mapped({ "x-name": "é" })).not.toHaveProperty("x-name");
    expect(mapped({ "x-data-bin": "é" })).not.toHaveProperty("x-data-bin");
    for (const headers of [
      { "grpc-metadata-name": "é" },
      { "grpc-metadata-data-bin": "!" },
      { "grpc-metadata-grpc-status": "0" },
      { "grpc-metadata-te": "trailers" },
      { "grpc-metadata-": "x" },
      { "grpc-metadata-x-heddle-attempt": "2" },
    ]) {
      expect(() => mapped(headers)).toThrow(ConnectError);
    }
  });

  test("says where the request came from", () => {
    expect(mapped({})).toEqual({
      "x-forwarded-for": "192.0.2.7",
      "x-forwarded-proto": "http",
      "x-forwarded-host": "api.test",
    });
    expect(
      mapped({
        "x-forwarded-for": "10.0.0.1",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "shop.test",
      }),
    ).toEqual({
      "x-forwarded-for": "10.0.0.1, 192.0.2.7",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "shop.test",
    });
  });
});

describe("replyHeaders", () => {
  test("keeps the names of HTTP, prefixes all others, and drops what is not the service's to say", () => {
    const metadata = new Headers([
      ["etag", '"1"'],
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
      ["tenant", "t1"],
      ["key-bin", "AAE"],
      ["content-length", "3"],
      ["connection", "close"],
      ["x-request-id", "other"],
      ["grpc-encoding", "gzip"],
    ]);
    const headers: Record<string, string | string[]> = {};
    replyHeaders(metadata, (name, value) => (headers[name] = value));
    expect(headers).toEqual({
      etag: '"1"',
      "set-cookie": ["a=1", "b=2"],
      "grpc-metadata-tenant": "t1",
      "grpc-metadata-key-bin": "AAE",
    });
  });
});

describe("replyTrailers", () => {
  test("prefixes all", () => {
    const headers: Record<string, string | string[]> = {};
    replyTrailers(new Headers({ cost: "3", "grpc-status": "0" }), (name, value) => (headers[name] = value));
    expect(headers).toEqual({ "grpc-trailer-cost": "3" });
  });
});
