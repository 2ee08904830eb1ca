import { describe, expect, test } from "vitest";
import { apiOf, fileOf, type Rules } from "./api.fixture.ts";
import { echo, echoTable, matchOf } from "./echo.fixture.ts";
import { buildRouteTable } from "./table.ts";

const get = (value: string) => ({ pattern: { case: "get", value } }) as const;

/** The problems of a service whose only method has this rule. */
function problemsOf(rule: Rules[string]): string[] {
  return buildRouteTable([apiOf("api.v1.Things", { Get: rule })]).problems.map(({ message }) => message);
}

describe("buildRouteTable", () => {
  test("learns services, methods and routes from descriptors alone", () => {
    expect(echoTable.services).toEqual(["heddle.testing.v1.EchoService"]);
    expect([...echoTable.methods.keys()]).toHaveLength(13);
    const wait = echoTable.methods.get("/heddle.testing.v1.EchoService/Wait")!;
    expect(wait.info).toEqual({
      service: "heddle.testing.v1.EchoService",
      method: "Wait",
      path: "/heddle.testing.v1.EchoService/Wait",
      kind: "unary",
      idempotency: "no_side_effects",
    });
    expect(echoTable.methods.get("/heddle.testing.v1.EchoService/Chat")!.info.kind).toBe("bidi_streaming");
    expect(echoTable.routes.filter((route) => route.method.info.method === "Unbound")).toEqual([]);
    expect(echoTable.files.map(({ name }) => name)).toContain("heddle/testing/v1/echo_service.proto");
  });

  test("keeps what is known of a method from table to table", () => {
    const again = buildRouteTable([echo, apiOf("a.B", { C: get("/c") })]).table;
    const path = "/heddle.testing.v1.EchoService/Wait";
    expect(again.methods.get(path)!.info).toBe(echoTable.methods.get(path)!.info);
  });

  test("keeps what it compiled for a method from table to table", () => {
    const again = buildRouteTable([echo, apiOf("a.B", { C: get("/c") })]).table;
    const { route } = matchOf("GET", "/v1/wait");
    expect(matchOf("GET", "/v1/wait", again).route.requestEncoder).toBe(route.requestEncoder);
  });

  test("leaves out services of the files that are not offered", () => {
    const { table, problems } = buildRouteTable([{ ...echo, services: [] }]);
    expect(table.methods.size).toBe(0);
    expect(problems).toEqual([]);
    expect(table.match("GET", "/v1/wait")).toEqual({ notFound: true });
  });

  test("is empty without services", () => {
    expect(buildRouteTable([]).table.match("GET", "/")).toEqual({ notFound: true });
  });
});

describe("rules", () => {
  test.each<[string, Rules[string], string]>([
    ["no path", {}, "a rule without a path"],
    ["a malformed template", get("/a/**/b"), 'column 7: "**" must be the last segment'],
    ["an unknown variable", get("/{nope}"), "GET /{nope}: {nope} there is no such field"],
    ["a repeated variable", get("/{tags}"), "{tags} is repeated"],
    ["a message variable", get("/{parent}"), "{parent} is a message"],
    ["a variable within a repeated field", get("/{parts.id}"), "{parts.id} parts is repeated"],
    ["a variable by its JSON name", get("/{newName}"), "{newName} there is no such field"],
    ["an unknown body", { pattern: { case: "post", value: "/a" }, body: "nope" }, 'body: "nope" is no field'],
    [
      "a nested body",
      { pattern: { case: "post", value: "/a" }, body: "parent.id" },
      'body: "parent.id" is no field',
    ],
    ["a body of GET", { ...get("/a"), body: "*" }, "GET has no body"],
    [
      "a body that is in the path too",
      { pattern: { case: "put", value: "/{id}" }, body: "id" },
      "{id} is also the body",
    ],
    ["an unknown response body", { ...get("/a"), responseBody: "nope" }, 'response_body: "nope" is no field'],
    [
      "a custom kind that is no method",
      { pattern: { case: "custom", value: { kind: "a b", path: "/a" } } },
      '"a b" is no HTTP method',
    ],
    [
      "nested additional bindings",
      { ...get("/a"), additionalBindings: [{ ...get("/b"), additionalBindings: [get("/c")] }] },
      "additional_bindings within",
    ],
  ])("are refused with a reason: %s", (_name, rule, message) => {
    expect(problemsOf(rule)).toEqual([expect.stringContaining(message)]);
  });

  test("that are wrong cost nothing but themselves", () => {
    const rules = { Bad: get("/{nope}"), Good: { ...get("/a"), additionalBindings: [get("//"), get("/b")] } };
    const { table, problems } = buildRouteTable([apiOf("api.v1.Things", rules)]);
    expect(problems).toMatchObject([
      { digest: "api.v1.Things", service: "api.v1.Things", method: "Bad" },
      { digest: "api.v1.Things", service: "api.v1.Things", method: "Good" },
    ]);
    expect(table.methods.size).toBe(2);
    expect(matchOf("GET", "/a", table).route.method.info.method).toBe("Good");
    expect(matchOf("GET", "/b", table).route.method.info.method).toBe("Good");
  });

  test("may have any HTTP method", () => {
    const custom = (kind: string) => ({ pattern: { case: "custom", value: { kind, path: "/a" } } }) as const;
    const cases = ["get", "put", "post", "delete", "patch"].map((name) => ({
      pattern: { case: name as "get", value: "/a" },
    }));
    const rules = { Many: { ...get("/b"), additionalBindings: [...cases, custom("PURGE"), custom("HEAD")] } };
    const { table, problems } = buildRouteTable([apiOf("api.v1.Things", rules)]);
    expect(problems).toEqual([]);
    expect(table.match("OPTIONS", "/a")).toEqual({
      allow: ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PURGE", "PUT"],
    });
  });
});

describe("conflicts", () => {
  const first = apiOf("a.v1.First", { Get: get("/v1/{id}"), Other: get("/v1/other/x") });
  const rules = { Get: get("/v1/{name}"), Mine: get("/v2/mine") };
  const second = apiOf("b.v1.Second", rules, { digest: "a", version: "9.0.0" });

  test("are refused with a reason that names both, the same whatever the order", () => {
    for (const services of [
      [first, second],
      [second, first],
    ]) {
      const { table, problems } = buildRouteTable(services);
      expect(problems).toEqual([
        {
          digest: "a",
          service: "b.v1.Second",
          method: "Get",
          message: "GET /v1/{name} matches the same requests as GET /v1/{id} of a.v1.First.Get, which stays",
        },
      ]);
      expect(matchOf("GET", "/v1/5", table).route.method.info.service).toBe("a.v1.First");
      expect(matchOf("GET", "/v1/other/x", table).route.method.info.service).toBe("a.v1.First");
      expect(matchOf("GET", "/v2/mine", table).route.method.info.service).toBe("b.v1.Second");
      expect(table.routes).toHaveLength(3);
      expect(table.methods.size).toBe(4);
    }
  });
});

describe("versions", () => {
  const old = apiOf("a.v1.Things", { Get: get("/v1/{id}"), Gone: get("/v1/gone/x") }, { digest: "old" });
  const young = apiOf(
    "a.v1.Things",
    { Get: get("/v2/{id}"), New: get("/v2/new/x") },
    { digest: "young", version: "1.1.0" },
  );

  test("stand side by side: each method knows who has it, and the newest says how it is transcoded", () => {
    for (const services of [
      [old, young],
      [young, old],
    ]) {
      const { table, problems } = buildRouteTable(services);
      expect(problems).toEqual([]);
      const digests = Object.fromEntries(
        [...table.methods.values()].map(({ info, digests }) => [info.method, digests]),
      );
      expect(digests).toEqual({ Get: ["young", "old"], Gone: ["old"], New: ["young"] });
      expect(table.match("GET", "/v1/5")).toEqual({ notFound: true });
      expect(matchOf("GET", "/v2/5", table).route.method.digests).toEqual(["young", "old"]);
      expect(matchOf("GET", "/v1/gone/x", table).route.method.digests).toEqual(["old"]);
      expect(table.files.filter(({ name }) => name === "a.v1.Things.proto")).toEqual([young.files[0]]);
      expect(table.registry.getService("a.v1.Things")!.methods.map(({ name }) => name)).toEqual([
        "Get",
        "New",
      ]);
    }
  });
});

describe("files", () => {
  const good = fileOf("a.v1.Good", { Get: get("/good") });

  test("that are broken cost only the services they declare", () => {
    const broken = { ...fileOf("b.v1.Broken", { Get: get("/broken") }), dependency: ["no/such.proto"] };
    const cyclic = { ...fileOf("c.v1.Cyclic", { Get: get("/c") }), dependency: ["c.v1.Cyclic.proto"] };
    const { table, problems } = buildRouteTable([
      {
        ...apiOf("a.v1.Good", {}),
        services: ["a.v1.Good", "b.v1.Broken", "c.v1.Cyclic", "d.v1.Missing"],
        files: [broken, cyclic, good],
      },
    ]);
    expect(problems.map(({ service, message }) => `${service}: ${message}`)).toEqual([
      "b.v1.Broken: b.v1.Broken.proto cannot be read: no/such.proto is missing",
      "c.v1.Cyclic: c.v1.Cyclic.proto cannot be read: c.v1.Cyclic.proto imports itself",
      "d.v1.Missing: its descriptor is missing",
    ]);
    expect(matchOf("GET", "/good", table).route.method.info.service).toBe("a.v1.Good");
  });

  test("that name types that do not exist are broken", () => {
    const broken = fileOf("b.v1.Broken", { Get: get("/broken") });
    broken.service[0]!.method[0]!.inputType = ".b.v1.Nope";
    const { problems } = buildRouteTable([{ ...apiOf("b.v1.Broken", {}), files: [broken] }]);
    expect(problems).toEqual([expect.objectContaining({ service: "b.v1.Broken", method: undefined })]);
  });

  test("may come in any order, and twice", () => {
    const { files } = echo;
    const { table, problems } = buildRouteTable([{ ...echo, files: [...files.toReversed(), ...files] }]);
    expect(problems).toEqual([]);
    expect(table.routes).toHaveLength(echoTable.routes.length);
  });
});
