import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { AnySchema, anyPack, DurationSchema, type Any } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { HttpBodySchema } from "../../gen/ts/google/api/httpbody_pb.ts";
import { StatusSchema } from "../../gen/ts/google/rpc/status_pb.ts";
import { NestedSchema, SampleSchema } from "../../gen/ts/heddle/testing/v1/echo_pb.ts";
import { CountResponseSchema, EchoResponseSchema } from "../../gen/ts/heddle/testing/v1/echo_service_pb.ts";
import { apiOf } from "./api.fixture.ts";
import { matchOf } from "./echo.fixture.ts";
import { encodeReply, encodeStreamElement } from "./response.ts";
import { buildRouteTable } from "./table.ts";

const api = buildRouteTable([
  apiOf("api.v1.Things", {
    Id: { pattern: { case: "get", value: "/id" }, responseBody: "id" },
    Count: { pattern: { case: "get", value: "/count" }, responseBody: "count" },
    Parent: { pattern: { case: "get", value: "/parent" }, responseBody: "parent" },
    Tags: { pattern: { case: "get", value: "/tags" }, responseBody: "tags" },
    Parts: { pattern: { case: "get", value: "/parts" }, responseBody: "parts" },
    Old: { pattern: { case: "get", value: "/old" }, responseBody: "old_name" },
  }),
]).table;

const { route: thing } = matchOf("GET", "/parent", api);

/** The JSON of a reply to a route of the API above. */
function printed(path: string, bytes: Uint8Array): unknown {
  return JSON.parse(encodeReply(matchOf("GET", path, api).route, bytes).body as string);
}

/** Encodes a Thing of the API above. */
function encoded(init: Record<string, unknown>): Uint8Array {
  const { output } = thing.method;
  return toBinary(output, create(output, init));
}

describe("encodeReply", () => {
  const { route: echo } = matchOf("POST", "/v1/echo");

  test("prints default values, 64-bit numbers as strings, enums by name, bytes in base64", () => {
    const sample = {
      int64: 5n,
      bytes: new Uint8Array([255]),
      color: 2,
      choice: { case: "choiceNumber", value: 0 },
    } as const;
    const { contentType, body } = encodeReply(
      echo,
      toBinary(EchoResponseSchema, create(EchoResponseSchema, { sample })),
    );
    expect(contentType).toBe("application/json");
    const json = JSON.parse(body as string) as { sample: Record<string, unknown> };
    expect(json.sample).toMatchObject({
      text: "",
      int32: 0,
      int64: "5",
      uint64: "0",
      bytes: "/w==",
      bool: false,
      color: "COLOR_GREEN",
      texts: [],
      labels: {},
      otherName: "",
      choiceNumber: 0,
    });
    for (const absent of ["nested", "optionalText", "timestamp", "stringValue", "choiceText"]) {
      expect(json.sample).not.toHaveProperty(absent);
    }
  });

  test.each([
    ["/id", { id: "a" }, "a"],
    ["/id", {}, ""],
    ["/count", { count: 7 }, 7],
    ["/count", {}, 0],
    ["/tags", { tags: ["a", "b"] }, ["a", "b"]],
    ["/tags", {}, []],
    ["/old", { oldName: "x" }, "x"],
    [
      "/parts",
      {
        parts: [{ $typeName: "api.v1.Thing", id: "a", count: 0, tags: [], parts: [], oldName: "", name: "" }],
      },
      [{ id: "a", count: 0, tags: [], parts: [], name: "", newName: "" }],
    ],
    ["/parent", {}, { id: "", count: 0, tags: [], parts: [], name: "", newName: "" }],
  ])("response_body may be any field: %s of %j", (path, init, json) => {
    expect(printed(path, encoded(init))).toEqual(json);
  });

  test("sends a google.api.HttpBody as it is", () => {
    const { route } = matchOf("GET", "/v1/download/x");
    expect(route.binding.rawReply).toBe(true);
    const data = new Uint8Array([0, 255]);
    const body = (init: MessageInitShape<typeof HttpBodySchema>) =>
      encodeReply(route, toBinary(HttpBodySchema, create(HttpBodySchema, init)));
    expect(body({ contentType: "image/png", data })).toEqual({ contentType: "image/png", body: data });
    expect(body({})).toEqual({ contentType: "application/octet-stream", body: new Uint8Array() });
  });

  test("prints an Any of a known type in full, and of an unknown one as base64, at any depth", () => {
    const known = anyPack(DurationSchema, create(DurationSchema, { seconds: 1n }));
    const unknown = create(AnySchema, {
      typeUrl: "example.com/acme.v1.Secret",
      value: new Uint8Array([1, 2]),
    });
    const broken = create(AnySchema, { typeUrl: "x/heddle.testing.v1.Nested", value: new Uint8Array([255]) });
    const nested = anyPack(StatusSchema, create(StatusSchema, { details: [known] }));
    const opaque = anyPack(StatusSchema, create(StatusSchema, { details: [unknown] }));
    const print = (any: Any) => {
      const reply = create(EchoResponseSchema, {
        sample: { any, nesteds: [create(NestedSchema, { name: "n" })] },
      });
      const { body } = encodeReply(echo, toBinary(EchoResponseSchema, reply));
      const { sample } = JSON.parse(body as string) as { sample: { any: unknown; nesteds: unknown } };
      expect(sample.nesteds).toMatchObject([{ name: "n" }]);
      return sample.any;
    };
    expect(print(known)).toEqual({ "@type": "type.googleapis.com/google.protobuf.Duration", value: "1s" });
    expect(print(unknown)).toEqual({ "@type": "example.com/acme.v1.Secret", value: "AQI=" });
    expect(print(broken)).toEqual({ "@type": "x/heddle.testing.v1.Nested", value: "/w==" });
    expect(print(nested)).toMatchObject({ details: [{ value: "1s" }] });
    expect(print(opaque)).toEqual({
      "@type": "type.googleapis.com/google.rpc.Status",
      value: Buffer.from(opaque.value).toString("base64"),
    });
  });

  test("prints enum values that the descriptor does not have as numbers", () => {
    const bytes = toBinary(EchoResponseSchema, create(EchoResponseSchema, { sample: { color: 77 as 0 } }));
    expect(JSON.parse(encodeReply(echo, bytes).body as string)).toMatchObject({ sample: { color: 77 } });
  });

  test("refuses bytes that are no message", () => {
    expect(() => encodeReply(echo, new Uint8Array([255]))).toThrow();
    expect(() => fromBinary(SampleSchema, new Uint8Array([255]))).toThrow();
  });
});

describe("encodeStreamElement", () => {
  const bytes = toBinary(
    CountResponseSchema,
    create(CountResponseSchema, { number: 3, sample: { text: "a\nb" } }),
  );

  test("prints a message on one line", () => {
    const line = encodeStreamElement(matchOf("GET", "/v1/count/9").route, bytes);
    expect(line).not.toContain("\n");
    expect(JSON.parse(line)).toMatchObject({ number: 3, sample: { text: "a\nb" } });
  });

  test("prints the field that response_body names", () => {
    const line = encodeStreamElement(matchOf("GET", "/v1/count/9:samples").route, bytes);
    expect(JSON.parse(line)).toMatchObject({ text: "a\nb" });
  });
});
