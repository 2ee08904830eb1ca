import { expect, test } from "vitest";
import { replyTrailers, requestMetadata } from "./metadata.ts";
import { giveTokenCookies, tokensOfCookies } from "./token-cookies.ts";

const A = "3f6a2b52-5a53-4c6e-9f6d-0b7f6d9f1a01";
const B = "4f6a2b52-5a53-4c6e-9f6d-0b7f6d9f1a02";
const peer = { address: undefined, scheme: "http", host: undefined } as const;

function cookiesOf(tokens: string): string[] {
  const cookies: string[] = [];
  giveTokenCookies(tokens, (_, value) => cookies.push(String(value)));
  return cookies;
}

test("a token comes back as it was given, one cookie a schema", () => {
  const tokens = `order=${A}:1-5:9, order=${B}:1, inventory=${A}:7`;
  const cookies = cookiesOf(tokens);
  expect(cookies).toEqual([
    `heddle-db-token-order=${A}:1-5:9_${B}:1; Path=/; Max-Age=60; HttpOnly; SameSite=Lax`,
    `heddle-db-token-inventory=${A}:7; Path=/; Max-Age=60; HttpOnly; SameSite=Lax`,
  ]);
  const sent = ["theme=dark", ...cookies.map((cookie) => cookie.split(";", 1)[0])].join("; ");
  expect(tokensOfCookies(sent)).toBe(tokens);
});

test("what is no token in a cookie is left out", () => {
  expect(tokensOfCookies("a=b")).toBeUndefined();
  expect(tokensOfCookies(`heddle-db-token-order=<script>, x; heddle-db-token-order=`)).toBeUndefined();
});

test("a caller's token reaches the service, from the header and from cookies", () => {
  const headers = { "x-heddle-db-token": `order=${A}:1`, cookie: `heddle-db-token-inventory=${A}:7` };
  expect(requestMetadata(headers, peer).get("x-heddle-db-token")).toBe(`order=${A}:1, inventory=${A}:7`);
  expect(requestMetadata({ "x-heddle-attempt": "2" }, peer).has("x-heddle-attempt")).toBe(false);
});

test("a service's token is a header of the reply under its own name", () => {
  const given: string[] = [];
  replyTrailers(new Headers({ "x-heddle-db-token": `order=${A}:1` }), (name) => given.push(name));
  expect(given).toEqual(["x-heddle-db-token"]);
});
