import { fromBinary, toJson, type JsonValue } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BadRequestSchema } from "../../gen/ts/google/rpc/error_details_pb.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { hasReason } from "../../mesh/errors.ts";
import { apiOf } from "./api.fixture.ts";
import { echoTable, matchOf } from "./echo.fixture.ts";
import { encodeRequest } from "./request.ts";
import { buildRouteTable } from "./table.ts";
import type { RequestOptions, RouteTable } from "./types.ts";

interface Sent {
  readonly body?: string | Uint8Array;
  readonly contentType?: string;
  readonly table?: RouteTable;
  readonly options?: RequestOptions;
}

/** What the method gets, as JSON. The target is a method, path and query. */
function received(target: string, sent: Sent = {}): JsonValue {
  const [httpMethod = "", url = ""] = target.split(" ");
  const [path = "", query = ""] = url.split("?");
  const match = matchOf(httpMethod, path, sent.table ?? echoTable);
  const body = typeof sent.body === "string" ? new TextEncoder().encode(sent.body) : sent.body;
  const { input, registry } = match.route.method;
  const bytes = encodeRequest(match, { query, contentType: sent.contentType, body }, sent.options);
  return toJson(input, fromBinary(input, bytes), { registry });
}

/** The violations of a request that is refused, as `field: description`. */
function violations(target: string, sent: Sent = {}): string[] {
  const error = refusal(target, sent);
  return error
    .findDetails(BadRequestSchema)[0]!
    .fieldViolations.map((each) => `${each.field}: ${each.description}`);
}

function refusal(target: string, sent: Sent = {}): ConnectError {
  try {
    const json = received(target, sent);
    throw new Error(`not refused: ${JSON.stringify(json)}`);
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
}

const api = buildRouteTable([
  apiOf("api.v1.Things", {
    Get: { pattern: { case: "get", value: "/v1/things/{id}" } },
    List: { pattern: { case: "get", value: "/v1/things" } },
    Move: { pattern: { case: "post", value: "/v1/{parent.name=things/*}:move" } },
    Put: { pattern: { case: "put", value: "/v1/things/{id}" }, body: "parent" },
    Patch: { pattern: { case: "patch", value: "/v1/things/{id}" }, body: "*" },
    SetTags: { pattern: { case: "put", value: "/v1/things/{id}/tags" }, body: "tags" },
    SetParts: { pattern: { case: "put", value: "/v1/things/{id}/parts" }, body: "parts" },
    SetCount: { pattern: { case: "put", value: "/v1/things/{id}/count" }, body: "count" },
    ByCount: { pattern: { case: "get", value: "/v1/counts/{count}" } },
  }),
]).table;

describe("examples of http.proto", () => {
  test("a multi-segment variable in the path", () => {
    expect(received("GET /v1/shelves/12/items/34")).toEqual({ name: "shelves/12/items/34" });
  });

  test("fields that are not in the path are query parameters, nested ones by their path", () => {
    expect(received("GET /v1/items/1?related=2&filter.nested.name=foo")).toEqual({
      itemId: "1",
      related: ["2"],
      filter: { nested: { name: "foo" } },
    });
  });

  test("body names the field that the body is", () => {
    expect(received("PUT /v1/things/7", { table: api, body: '{"name":"Hi!"}' })).toEqual({
      id: "7",
      parent: { name: "Hi!" },
    });
  });

  test("body * is everything that is not in the path", () => {
    expect(received("PATCH /v1/things/7", { table: api, body: '{"count":2}' })).toEqual({
      id: "7",
      count: 2,
    });
  });

  test("additional bindings lead to the same method", () => {
    expect(received("GET /v1/shelves/me/item/5")).toEqual({ shelf: "me", itemId: "5" });
    expect(received("GET /v1/items/5")).toEqual({ itemId: "5" });
  });

  test("a nested field in the path", () => {
    expect(received("POST /v1/things/5:move", { table: api })).toEqual({ parent: { newName: "things/5" } });
  });

  test("a repeated field as body is a JSON array", () => {
    expect(received("PUT /v1/things/7/tags", { table: api, body: '["a","b"]' })).toEqual({
      id: "7",
      tags: ["a", "b"],
    });
    expect(received("PUT /v1/things/7/parts", { table: api, body: '[{"id":"a"}]' })).toEqual({
      id: "7",
      parts: [{ id: "a" }],
    });
    expect(received("PUT /v1/things/7/count", { table: api, body: "12" })).toEqual({ id: "7", count: 12 });
  });

  test("a repeated parameter is given several times", () => {
    expect(received("GET /v1/things?tags=A&tags=B", { table: api })).toEqual({ tags: ["A", "B"] });
  });
});

describe("precedence", () => {
  test("the path wins over the query, which can only repeat it", () => {
    expect(received("GET /v1/items/1?item_id=2&itemId=3")).toEqual({ itemId: "1" });
  });

  test("the path wins over the body", () => {
    expect(received("PATCH /v1/things/7", { table: api, body: '{"id":"8","name":"n"}' })).toEqual({
      id: "7",
      name: "n",
    });
    expect(received("PUT /v1/echo/path", { body: '{"text":"body","int32":1}' })).toEqual({
      sample: { text: "path", int32: 1 },
    });
  });

  test("with body * there are no query parameters", () => {
    expect(violations("PATCH /v1/things/7?count=1", { table: api })).toEqual([
      "count: this method takes no query parameters; its fields are in the body",
    ]);
    const options = { ignoreUnknownFields: true };
    expect(received("PATCH /v1/things/7?count=1", { table: api, options })).toEqual({ id: "7" });
  });

  test("what the body is cannot be in the query", () => {
    expect(violations("PUT /v1/things/7?parent.id=1&count=2", { table: api })).toEqual([
      "parent.id: belongs in the body",
    ]);
    expect(received("PUT /v1/things/7?count=2", { table: api })).toEqual({ id: "7", count: 2 });
  });

  test("of a name and a JSON name that are equal, a parameter means the name and a body the JSON name", () => {
    expect(received("GET /v1/things?name=a&old_name=b", { table: api })).toEqual({
      newName: "a",
      name: "b",
    });
    expect(received("PATCH /v1/things/7", { table: api, body: '{"name":"a","newName":"b"}' })).toEqual({
      id: "7",
      name: "a",
      newName: "b",
    });
  });
});

describe("parameters", () => {
  test.each<[string, JsonValue]>([
    ["text=a%20b+c", { text: "a b c" }],
    ["text=a%2Bb%26c%3Dd=e", { text: "a+b&c=d=e" }],
    ["text=%25zz", { text: "%zz" }],
    ["text=", {}],
    ["text", {}],
    ["optional_text=", { optionalText: "" }],
    ["te%78t=a", { text: "a" }],
    ["int32=-2147483648", { int32: -2147483648 }],
    ["uint32=4294967295", { uint32: 4294967295 }],
    ["sint32=-1&fixed32=1&sfixed32=-1", { sint32: -1, fixed32: 1, sfixed32: -1 }],
    ["int64=9007199254740993", { int64: "9007199254740993" }],
    ["int64=-9223372036854775808", { int64: "-9223372036854775808" }],
    ["uint64=18446744073709551615", { uint64: "18446744073709551615" }],
    ["sint64=-5&fixed64=5&sfixed64=-5", { sint64: "-5", fixed64: "5", sfixed64: "-5" }],
    ["float=1.5&double=-1e300", { float: 1.5, double: -1e300 }],
    ["float=NaN&double=-Infinity", { float: "NaN", double: "-Infinity" }],
    ["bool=true", { bool: true }],
    ["bool=false", {}],
    ["bytes=%2B/8%3D", { bytes: "+/8=" }],
    ["bytes=-_8=", { bytes: "+/8=" }],
    ["bytes=-_8", { bytes: "+/8=" }],
    ["bytes=%2B%2F8", { bytes: "+/8=" }],
    ["color=COLOR_GREEN", { color: "COLOR_GREEN" }],
    ["color=3", { color: "COLOR_BLUE" }],
    ["colors=COLOR_RED&colors=2", { colors: ["COLOR_RED", "COLOR_GREEN"] }],
    ["numbers=3&numbers=-1&texts=a&texts=", { numbers: [3, -1], texts: ["a", ""] }],
    ["renamed=a", { otherName: "a" }],
    ["otherName=a", { otherName: "a" }],
    [
      "nested.deeper.name=a&nested.number=2&nested.deeper.tags=x&nested.deeper.tags=y",
      { nested: { number: 2, deeper: { name: "a", tags: ["x", "y"] } } },
    ],
    ["timestamp=2024-02-29T12:00:00.25%2B02:00", { timestamp: "2024-02-29T10:00:00.250Z" }],
    ["duration=-1.5s", { duration: "-1.500s" }],
    ["mask=int32,nested.deeperOne,optional_text", { mask: "int32,nested.deeperOne,optionalText" }],
    ["mask=", { mask: "" }],
    [
      "string_value=&int32_value=0&boolValue=false&bytesValue=&doubleValue=NaN&int64Value=-1",
      {
        stringValue: "",
        int32Value: 0,
        boolValue: false,
        bytesValue: "",
        doubleValue: "NaN",
        int64Value: "-1",
      },
    ],
    ['struct={"a":[1,null]}&value="x"&list=[true]', { struct: { a: [1, null] }, value: "x", list: [true] }],
    ["value=null", { value: null }],
    ["choice_nested.name=a&choice_nested.number=1", { choiceNested: { name: "a", number: 1 } }],
    ["choice_number=0", { choiceNumber: 0 }],
  ])("reads %s", (query, sample) => {
    const prefixed = query
      .split("&")
      .map((pair) => `sample.${pair}`)
      .join("&");
    expect((received(`GET /v1/echo?${prefixed}`) as { sample: JsonValue }).sample).toEqual(sample);
  });

  test.each([
    ["int32=2147483648", "int32: must be an integer from -2147483648 to 2147483647"],
    ["int32=1.5", "int32: must be an integer from -2147483648 to 2147483647"],
    ["int32=", "int32: must be an integer from -2147483648 to 2147483647"],
    ["int32=0x10", "int32: must be an integer from -2147483648 to 2147483647"],
    ["int32=+1", "int32: must be an integer from -2147483648 to 2147483647"],
    ["uint32=-1", "uint32: must be an integer from 0 to 4294967295"],
    [
      "int64=9223372036854775808",
      "int64: must be a 64-bit integer, as a string if it is beyond 9007199254740991",
    ],
    ["float=1e39", 'float: must be a number of single precision, "NaN", "Infinity" or "-Infinity"'],
    ["double=inf", 'double: must be a number, "NaN", "Infinity" or "-Infinity"'],
    ["bool=1", "bool: must be true or false"],
    ["bool=TRUE", "bool: must be true or false"],
    ["bool=yes", "bool: must be true or false"],
    ["bool", "bool: must be true or false"],
    ["bytes=a", "bytes: must be base64, standard or URL-safe, with or without padding"],
    ["bytes=a*bc", "bytes: must be base64, standard or URL-safe, with or without padding"],
    ["bytes=abc%3D%3D", "bytes: must be base64, standard or URL-safe, with or without padding"],
    ["color=PURPLE", "color: must be one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_GREEN, COLOR_BLUE"],
    ["color=9", "color: must be one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_GREEN, COLOR_BLUE"],
    ["color=color_red", "color: must be one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_GREEN, COLOR_BLUE"],
    [
      "timestamp=2024-02-30T00:00:00Z",
      "timestamp: must be a time such as 2026-01-31T12:00:00.5Z, from year 1 to 9999",
    ],
    ["timestamp=2024-01-01", "timestamp: must be a time such as 2026-01-31T12:00:00.5Z, from year 1 to 9999"],
    ["duration=100ms", "duration: must be seconds such as 1.5s, within 315576000000s"],
    ["duration=1h0m", "duration: must be seconds such as 1.5s, within 315576000000s"],
    ["mask=a,,b", "mask: must be field paths such as lines,totalPrice.units"],
    ["struct=a", "struct: must be JSON"],
    ["struct=1", "struct: must be a JSON object, nested less than 100 deep"],
    ["labels=a", "labels: a map cannot be a parameter"],
    ["labels.a=b", "labels.a: sample.labels is a map, which cannot be a parameter"],
    ["nesteds.name=a", "nesteds.name: sample.nesteds is repeated; its parts cannot be parameters"],
    ["timestamps=2024-01-01T00:00:00Z", "timestamps: a repeated message cannot be a parameter"],
    ["nested=a", "nested: is a message; name its fields one by one, such as nested.name"],
    ["nested.nope=a", "nested.nope: there is no such field"],
    ["text.nope=a", "text.nope: sample.text has no fields of its own"],
    ["timestamp.seconds=1", "timestamp.seconds: sample.timestamp has no fields of its own"],
    ["any=a", "any: a message of any type cannot be a parameter"],
    ["nope=a", "nope: there is no such field"],
    ["text=%zz", "text: the percent-encoding is broken, or not UTF-8"],
    ["text=%ff", "text: the percent-encoding is broken, or not UTF-8"],
    ["%zz=1", "%zz: the percent-encoding is broken, or not UTF-8"],
    ["text=a&sample.text=b", "text: is given more than once"],
    ["renamed=a&sample.otherName=b", "otherName: is given more than once"],
    [
      "timestamp=2024-01-01T00:00:00Z&sample.timestamp=2024-01-01T00:00:00Z",
      "timestamp: is given more than once",
    ],
    [
      "choice_text=a&sample.choice_number=1",
      "choice_number: cannot be given together with sample.choice_text",
    ],
    [
      "choice_text=a&sample.choice_nested.name=1",
      "choice_nested.name: cannot be given together with sample.choice_text",
    ],
  ])("refuses %s", (query, violation) => {
    expect(violations(`GET /v1/echo?sample.${query}`)).toEqual([`sample.${violation}`]);
  });

  test.each([
    ["GET /v1/count/x", "to: must be an integer from -2147483648 to 2147483647"],
    ["GET /v1/items/%zz", "item_id: the percent-encoding is broken, or not UTF-8"],
    [
      "DELETE /v1/echo/1.5",
      "sample.int64: must be a 64-bit integer, as a string if it is beyond 9007199254740991",
    ],
  ])("refuses a wrong value in the path: %s", (target, violation) => {
    expect(violations(target)).toEqual([violation]);
  });

  test("reports everything that is wrong at once, path, query and body alike", () => {
    const error = refusal("PUT /v1/things/7?count=x&nope=1", { table: api, body: '{"id":1,"what":2}' });
    expect(error.findDetails(BadRequestSchema)[0]!.fieldViolations.map(({ field }) => field)).toEqual([
      "id",
      "what",
      "count",
      "nope",
    ]);
    expect(hasReason(error, Reason.MALFORMED_PARAMETER)).toBe(true);
  });

  test("keeps the answer small, however much is wrong", () => {
    const query = Array.from({ length: 500 }, (_, i) => `${"x".repeat(300)}${i}=1`).join("&");
    const error = refusal(`GET /v1/echo?${query}`);
    expect(error.findDetails(BadRequestSchema)[0]!.fieldViolations).toHaveLength(32);
    expect(error.rawMessage).toContain("and 468 more");
    expect(error.rawMessage.length).toBeLessThan(10_000);
  });

  test("ignores unknown parameters if told so, but not wrong values", () => {
    const options = { ignoreUnknownFields: true };
    expect(received("GET /v1/items/1?nope=1&filter.nope=2&related=3", { options })).toEqual({
      itemId: "1",
      related: ["3"],
    });
    expect(violations("GET /v1/items/1?nope=1&related=x", { options })).toHaveLength(1);
  });

  test("skips empty pairs", () => {
    expect(received("GET /v1/items/1?&&related=1&")).toEqual({ itemId: "1", related: ["1"] });
  });
});

describe("bodies", () => {
  const post = "POST /v1/echo";

  test.each<[string, JsonValue]>([
    ["", {}],
    ["{}", {}],
    [' {"sample":{}} \n', { sample: {} }],
    ['\uFEFF{"sample":{}}', { sample: {} }],
    ['{"sample":null}', {}],
    ['{"sample":{"renamed":"a"}}', { sample: { otherName: "a" } }],
    ['{"sample":{"optional_text":"a"}}', { sample: { optionalText: "a" } }],
    [
      '{"sample":{"text":"\\"a\\": {\\"a\\":1}","texts":["{\\"a\\":","a"]}}',
      { sample: { text: '"a": {"a":1}', texts: ['{"a":', "a"] } },
    ],
    [
      '{"sample":{"labels":{"__proto__":"a","constructor":"b"}}}',
      {
        sample: {
          labels: Object.fromEntries([
            ["__proto__", "a"],
            ["constructor", "b"],
          ]),
        },
      },
    ],
    [
      '{"sample":{"int32":1e3,"int64":12,"double":"1.5","uint64":"7"}}',
      { sample: { int32: 1000, int64: "12", double: 1.5, uint64: "7" } },
    ],
    ['{"sample":{"choiceText":null,"choiceNumber":1}}', { sample: { choiceNumber: 1 } }],
    ['{"sample":{"color":77}}', { sample: { color: 77 } }],
    ['{"sample":{"any":{}}}', { sample: { any: {} } }],
    [
      '{"sample":{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}}',
      { sample: { any: { "@type": "type.googleapis.com/google.protobuf.Duration", value: "1s" } } },
    ],
    [
      '{"sample":{"any":{"@type":"x/heddle.testing.v1.Nested","name":"a"}}}',
      { sample: { any: { "@type": "x/heddle.testing.v1.Nested", name: "a" } } },
    ],
  ])("reads %s", (body, expected) => {
    expect(received(post, { body })).toEqual(expected);
  });

  test.each([
    ['{"sample":{"text":"a"}} x', ": the body is not JSON: wrong at character 24"],
    ['{"sample":{"text":"a"},}', ": the body is not JSON: wrong at character 23"],
    ["{", ": the body is not JSON: wrong at character 1"],
    ['{"sample":{"text":"a","text":"b"}}', ': the key "text" stands twice in one object'],
    ['{"sample":{"text":"a","t\\u0065xt":"b"}}', ': the key "text" stands twice in one object'],
    ['{"sample":{"struct":{"a":{"b":1,"b":{"c":1}}}}}', ': the key "b" stands twice in one object'],
    ["[]", ": must be an object"],
    ["null", ": must be an object"],
    ['"a"', ": must be an object"],
    ['{"nope":1}', "nope: there is no such field"],
    ['{"sample":{"nesteds":[{},{"nope":1}]}}', "sample.nesteds[1].nope: there is no such field"],
    ['{"sample":{"nestedById":{"1":{"name":1}}}}', "sample.nestedById.1.name: must be a string"],
    [
      '{"sample":{"nestedById":{"x":{}}}}',
      "sample.nestedById.x: the key must be an integer from -2147483648 to 2147483647",
    ],
    ['{"sample":{"labels":{"a":null}}}', "sample.labels.a: must not be null"],
    ['{"sample":{"texts":[null]}}', "sample.texts[0]: must not be null"],
    ['{"sample":{"texts":"a"}}', "sample.texts: must be an array"],
    ['{"sample":{"labels":[]}}', "sample.labels: must be an object"],
    [
      '{"sample":{"int64":9007199254740993}}',
      "sample.int64: must be a 64-bit integer, as a string if it is beyond 9007199254740991",
    ],
    ['{"sample":{"int32":"0x10"}}', "sample.int32: must be an integer from -2147483648 to 2147483647"],
    ['{"sample":{"bool":"true"}}', "sample.bool: must be true or false"],
    ['{"sample":{"text":1}}', "sample.text: must be a string"],
    ['{"sample":{"duration":"1sx"}}', "sample.duration: must be seconds such as 1.5s, within 315576000000s"],
    [
      '{"sample":{"renamed":"a","otherName":"b"}}',
      "sample.renamed: the same field as otherName, given twice",
    ],
    [
      '{"sample":{"choiceText":"a","choiceNumber":1}}',
      "sample.choiceNumber: cannot be given together with choiceText",
    ],
    [
      '{"sample":{"any":{"@type":"x/no.Such"}}}',
      'sample.any: "@type" must be the URL of a known message type, such as type.googleapis.com/google.type.Money',
    ],
    [
      '{"sample":{"any":{"name":"a"}}}',
      'sample.any: "@type" must be the URL of a known message type, such as type.googleapis.com/google.type.Money',
    ],
  ])("refuses %s", (body, violation) => {
    const error = refusal(post, { body });
    expect(hasReason(error, Reason.MALFORMED_BODY)).toBe(true);
    expect(violations(post, { body })).toEqual([violation]);
  });

  test("refuses what is not UTF-8", () => {
    expect(violations(post, { body: new Uint8Array([0x22, 0xff, 0x22]) })).toEqual([
      ": the body is not UTF-8",
    ]);
  });

  test("refuses nesting that would exhaust the stack", () => {
    const messages = (depth: number) =>
      `{"sample":{"nested":${'{"deeper":'.repeat(depth)}{}${"}".repeat(depth)}}}`;
    const lists = (depth: number) => `{"sample":{"value":${"[".repeat(depth)}${"]".repeat(depth)}}}`;
    expect(violations(post, { body: messages(101) })[0]).toContain("is nested more than 100 deep");
    expect(violations(post, { body: lists(102) })[0]).toContain("nested less than 100 deep");
    for (const body of [messages(100_000), lists(100_000)]) {
      expect(violations(post, { body })).toEqual([": the body is nested more than 500 deep"]);
    }
  });

  test("ignores unknown fields if told so, at every depth", () => {
    const body = '{"nope":1,"sample":{"text":"a","nope":{"x":[]},"nested":{"nope":1}}}';
    expect(received(post, { body, options: { ignoreUnknownFields: true } })).toEqual({
      sample: { text: "a", nested: {} },
    });
  });

  test("where the binding has no body, takes none", () => {
    expect(received("POST /v1/things/5:move", { table: api, body: " {} " })).toBeDefined();
    expect(violations("POST /v1/things/5:move", { table: api, body: '{"id":"1"}' })).toEqual([
      ": this method takes no body; all its fields are in the path and the query",
    ]);
  });

  test("takes a google.api.HttpBody as it is, even if it is empty", () => {
    const body = new Uint8Array([0, 255]);
    expect(received("POST /v1/upload/x", { body, contentType: "image/png" })).toEqual({
      name: "x",
      content: { contentType: "image/png", data: "AP8=" },
    });
    expect(received("POST /v1/upload/x", { body: new Uint8Array(), contentType: "text/plain" })).toEqual({
      name: "x",
      content: { contentType: "text/plain" },
    });
  });
});

describe("queries of any values", () => {
  const record = fc.record(
    {
      text: fc.string({ unit: "grapheme" }),
      int32: fc.integer(),
      int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
      double: fc
        .double({ noDefaultInfinity: true, noNaN: true })
        .map((value) => (Object.is(value, -0) ? 0 : value)),
      bool: fc.boolean(),
      texts: fc.array(fc.string({ unit: "grapheme" }), { minLength: 1 }),
      numbers: fc.array(fc.integer(), { minLength: 1 }),
    },
    { requiredKeys: [] },
  );

  test("arrive as they were sent", () => {
    fc.assert(
      fc.property(record, (sample) => {
        const query = new URLSearchParams(
          Object.entries(sample).flatMap(([name, value]) =>
            [value].flat().map((each) => [`sample.${name}`, String(each)] as [string, string]),
          ),
        );
        const defaults = { text: "", int32: 0, int64: "0", double: 0, bool: false, texts: [], numbers: [] };
        const json = received(`GET /v1/echo?${query}`) as { sample?: object };
        expect({ ...defaults, ...json.sample }).toEqual({ ...defaults, ...sample });
      }),
    );
  });
});
