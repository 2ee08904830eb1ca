import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createRouter, type Router } from "./router.ts";
import { parseTemplate } from "./template.ts";

/** A router whose targets are the routes as written, such as `GET /v1/{id}`. */
function routerOf(...routes: string[]): Router<string> {
  return createRouter(routes.map(entryOf)).router;
}

function entryOf(target: string) {
  const [httpMethod = "", path = ""] = target.split(" ");
  return { httpMethod, template: parseTemplate(path), target };
}

const notFound = { notFound: true };

describe("precedence", () => {
  const routes = [
    "GET /v1/{id}",
    "GET /v1/me",
    "GET /v1/**",
    "GET /v1/{a}/b",
    "GET /v1/me/{b}",
    "GET /v1/me/*/c",
    "GET /v1/me/x/y",
    "GET /v1/me/x/y/**",
    "GET /**",
  ];

  test.each([
    ["/v1/me", "GET /v1/me"],
    ["/v1/you", "GET /v1/{id}"],
    ["/v1/me/x", "GET /v1/me/{b}"],
    ["/v1/me/b", "GET /v1/me/{b}"],
    ["/v1/you/b", "GET /v1/{a}/b"],
    ["/v1/me/x/c", "GET /v1/me/*/c"],
    ["/v1/me/x/d", "GET /v1/**"],
    ["/v1/me/x/y", "GET /v1/me/x/y"],
    ["/v1/me/x/y/z", "GET /v1/me/x/y/**"],
    ["/v1", "GET /v1/**"],
    ["/v2/anything", "GET /**"],
    ["/", "GET /**"],
  ])("prefers literals, then *, then **, in any order of routes: %s", (path, expected) => {
    for (const order of [routes, routes.toReversed()]) {
      expect(routerOf(...order)("GET", path)).toMatchObject({ target: expected });
    }
  });

  test("goes back to a broader route when a narrower one has another method", () => {
    const router = routerOf("POST /v1/first", "GET /v1/{id}");
    expect(router("GET", "/v1/first")).toMatchObject({ target: "GET /v1/{id}", variables: ["first"] });
    expect(router("POST", "/v1/first")).toMatchObject({ target: "POST /v1/first" });
  });
});

describe("segments", () => {
  const router = routerOf("GET /v1/{id}", "GET /v1/shelves/{name=**}", "GET /v1/caf%C3%A9/x");

  test.each([
    ["/v1/", notFound],
    ["/v1/a/", notFound],
    ["/v1//a", notFound],
    ["/v1", notFound],
    ["v1/a", notFound],
    ["", notFound],
    ["*", notFound],
    ["/V1/a", notFound],
    ["/v1/shelves", { variables: [""] }],
    ["/v1/shelves/", { variables: [""] }],
    ["/v1/shelves/a//b/", { variables: ["a//b/"] }],
    ["/%761/a", { variables: ["a"] }],
    ["/v1/caf%c3%a9/x", { target: "GET /v1/caf%C3%A9/x" }],
    ["/v1%2Fa", notFound],
  ])("matches exactly: %s", (path, expected) => {
    expect(router("GET", path)).toMatchObject(expected);
  });
});

describe("decoding", () => {
  const router = routerOf("GET /one/{id}", "GET /two/{name=a/*}", "GET /rest/{name=**}", "GET /x/{name=a}");

  test.each([
    ["/one/a%2Fb", "a/b"],
    ["/one/a%252Fb", "a%2Fb"],
    ["/one/100%25", "100%"],
    ["/one/a%3Ab%20c", "a:b c"],
    ["/one/a+b", "a+b"],
    ["/one/caf%C3%A9", "café"],
    ["/one/2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"],
    ["/one/%zz", undefined],
    ["/one/%FF", undefined],
    ["/one/%", undefined],
    ["/two/a/b%2Fc%2fd%20e", "a/b%2Fc%2fd e"],
    ["/two/a/%3A%252F", "a/:%2F"],
    ["/rest/a%2Fb/c%25", "a%2Fb/c%"],
    ["/rest/%zz/b", undefined],
    ["/x/%61", "a"],
  ])("decodes once, after matching: %s", (path, value) => {
    expect(router("GET", path)).toMatchObject({ variables: [value] });
  });
});

describe("verbs", () => {
  const router = routerOf(
    "GET /v1/items/{id}",
    "POST /v1/items/{id}:cancel",
    "GET /v1/files/{name=**}",
    "GET /v1/files/{name=**}:raw",
    "POST /v1/items:batchGet",
  );

  test.each([
    ["POST", "/v1/items/5:cancel", { target: "POST /v1/items/{id}:cancel", variables: ["5"] }],
    ["POST", "/v1/items/a:b:cancel", { variables: ["a:b"] }],
    ["GET", "/v1/items/5:other", { target: "GET /v1/items/{id}", variables: ["5:other"] }],
    ["GET", "/v1/items/5:", { variables: ["5:"] }],
    ["GET", "/v1/items/5%3Acancel", { variables: ["5:cancel"] }],
    ["GET", "/v1/items/5:cancel", { allow: ["OPTIONS", "POST"] }],
    ["GET", "/v1/items/5:raw", { target: "GET /v1/items/{id}", variables: ["5:raw"] }],
    ["POST", "/v1/items/:cancel", { allow: ["GET", "HEAD", "OPTIONS"] }],
    ["GET", "/v1/files/a/b:raw", { target: "GET /v1/files/{name=**}:raw", variables: ["a/b"] }],
    ["GET", "/v1/files:raw", { target: "GET /v1/files/{name=**}:raw", variables: [""] }],
    ["GET", "/v1/files/a:b/c", { variables: ["a:b/c"] }],
    ["POST", "/v1/items:batchGet", { target: "POST /v1/items:batchGet" }],
    ["POST", "/v1/items:batch%47et", { target: "POST /v1/items:batchGet" }],
    ["POST", "/v1/items", notFound],
  ])("%s %s", (httpMethod, path, expected) => {
    expect(router(httpMethod, path)).toMatchObject(expected);
  });
});

describe("methods", () => {
  const router = routerOf(
    "GET /a",
    "POST /a",
    "PURGE /b",
    "* /c",
    "GET /c",
    "HEAD /d",
    "GET /d",
    "OPTIONS /e",
    "GET /{any}",
  );

  test.each([
    ["DELETE", "/a", { allow: ["GET", "HEAD", "OPTIONS", "POST"] }],
    ["OPTIONS", "/a", { allow: ["GET", "HEAD", "OPTIONS", "POST"] }],
    ["HEAD", "/a", { target: "GET /a" }],
    ["PURGE", "/b", { target: "PURGE /b" }],
    ["purge", "/b", { allow: ["GET", "HEAD", "OPTIONS", "PURGE"] }],
    ["HEAD", "/b", { target: "GET /{any}" }],
    ["BREW", "/c", { target: "* /c" }],
    ["OPTIONS", "/c", { target: "* /c" }],
    ["GET", "/c", { target: "GET /c" }],
    ["HEAD", "/c", { target: "GET /c" }],
    ["HEAD", "/d", { target: "HEAD /d" }],
    ["OPTIONS", "/e", { target: "OPTIONS /e" }],
    ["DELETE", "/none/here", notFound],
    ["OPTIONS", "/none/here", notFound],
  ])("%s %s", (httpMethod, path, expected) => {
    expect(router(httpMethod, path)).toEqual(expect.objectContaining(expected));
  });
});

describe("createRouter", () => {
  test("reports routes that match the same requests, and keeps the first", () => {
    const entries = [
      "GET /v1/{a}/x",
      "GET /v1/*/x",
      "GET /v1/{a}/x:v",
      "POST /v1/{a}/x",
      "GET /v1/{b=*/x}",
    ].map(entryOf);
    const { router, duplicates } = createRouter(entries);
    expect(duplicates.map(({ kept, refused }) => [kept.target, refused.target])).toEqual([
      ["GET /v1/{a}/x", "GET /v1/*/x"],
      ["GET /v1/{a}/x", "GET /v1/{b=*/x}"],
    ]);
    expect(router("GET", "/v1/1/x")).toMatchObject({ target: "GET /v1/{a}/x" });
  });

  const segment = fc.constantFrom("a", "b", "*", "{v}");
  const template = fc
    .tuple(
      fc.array(segment, { maxLength: 3 }),
      fc.constantFrom("a", "*", "**", "{r=**}", "{r=a/*}"),
      fc.constantFrom("", ":x", ":y"),
    )
    .filter(([front]) => front.filter((each) => each === "{v}").length < 2)
    .map(([front, last, verb]) => `/${[...front, last].join("/")}${verb}`);
  const route = fc.tuple(fc.constantFrom("GET", "POST", "*"), template).map((parts) => parts.join(" "));
  const path = fc
    .array(fc.constantFrom("a", "b", "c", "", "a:x", "b:y", "c:z"), { minLength: 1, maxLength: 5 })
    .map((parts) => `/${parts.join("/")}`);

  test("finds the same route whatever the order in which they were added", () => {
    const shape = (route: string) => route.replaceAll(/\{v\}/g, "*").replaceAll(/\{r=(.*?)\}/g, "$1");
    fc.assert(
      fc.property(
        fc.uniqueArray(route, { selector: shape, maxLength: 12 }),
        path,
        fc.infiniteStream(fc.nat()),
        (routes, path, random) => {
          const shuffled = routes
            .map((route) => ({ route, at: random.next().value as number }))
            .sort((x, y) => x.at - y.at)
            .map(({ route }) => route);
          for (const method of ["GET", "POST", "HEAD", "PUT"]) {
            expect(routerOf(...shuffled)(method, path)).toEqual(routerOf(...routes)(method, path));
          }
        },
      ),
    );
  });

  test("gives back every value that a client puts into a path as http.proto says", () => {
    const router = routerOf("GET /one/{id}/tail", "GET /two/{name=a/*/b/*}", "GET /rest/{name=**}");
    const encode = (text: string) =>
      encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
    const value = fc.string({ unit: "grapheme", minLength: 1 });
    const slashless = value.filter((text) => !text.includes("/") && !/%2f/i.test(text));
    fc.assert(
      fc.property(value, slashless, slashless, (any, left, right) => {
        expect(router("GET", `/one/${encode(any)}/tail`)).toMatchObject({ variables: [any] });
        const two = `a/${left}/b/${right}`;
        expect(router("GET", `/two/a/${encode(left)}/b/${encode(right)}`)).toMatchObject({
          variables: [two],
        });
        expect(router("GET", `/rest/${encode(left)}/${encode(right)}`)).toMatchObject({
          variables: [`${left}/${right}`],
        });
      }),
    );
  });
});
