import { describe, expect, test } from "vitest";
import { parseTemplate, TemplateError, type Template } from "./template.ts";

const literal = (text: string) => ({ kind: "literal", text });
const single = { kind: "single" };
const multi = { kind: "multi" };

describe("parseTemplate", () => {
  test.each<[string, Partial<Template>]>([
    ["/v1", { segments: [literal("v1")], variables: [], verb: "" } as Partial<Template>],
    ["/v1/*/a/**", { segments: [literal("v1"), single, literal("a"), multi] } as Partial<Template>],
    ["/**", { segments: [multi] } as Partial<Template>],
    [
      "/{id}",
      {
        segments: [single],
        variables: [{ fieldPath: ["id"], start: 0, end: 1, multi: false }],
      } as Partial<Template>,
    ],
    ["/{id=*}", { variables: [{ fieldPath: ["id"], start: 0, end: 1, multi: false }] }],
    ["/{id=**}", { variables: [{ fieldPath: ["id"], start: 0, end: 1, multi: true }] }],
    [
      "/{id=first}",
      {
        segments: [literal("first")],
        variables: [{ fieldPath: ["id"], start: 0, end: 1, multi: false }],
      } as Partial<Template>,
    ],
    [
      "/v1/{name=shelves/*/books/**}",
      {
        segments: [literal("v1"), literal("shelves"), single, literal("books"), multi],
        variables: [{ fieldPath: ["name"], start: 1, end: 5, multi: true }],
      } as Partial<Template>,
    ],
    [
      "/{a.b.c_1}/{_d}",
      {
        variables: [
          { fieldPath: ["a", "b", "c_1"], start: 0, end: 1, multi: false },
          { fieldPath: ["_d"], start: 1, end: 2, multi: false },
        ],
      },
    ],
    ["/v1/{id}:cancel", { segments: [literal("v1"), single], verb: "cancel" } as Partial<Template>],
    ["/v1/things:batch-get.2", { verb: "batch-get.2" }],
    ["/v1/{id=**}:raw", { verb: "raw" }],
    [
      "/caf%C3%A9/a%3Ab/a%2Fb",
      { segments: [literal("café"), literal("a:b"), literal("a/b")] } as Partial<Template>,
    ],
    ["/café", { segments: [literal("café")] } as Partial<Template>],
    ["/-_.~!$&'()+,;=@", { segments: [literal("-_.~!$&'()+,;=@")] } as Partial<Template>],
  ])("parses %s", (source, expected) => {
    expect(parseTemplate(source)).toMatchObject({ source, ...expected });
  });

  test.each([
    ["", 1, "begins with"],
    ["v1", 1, "begins with"],
    ["/", 2, "a segment must not be empty"],
    ["/v1/", 5, "a segment must not be empty"],
    ["//v1", 2, "a segment must not be empty"],
    ["/v1:", 5, "a verb must not be empty"],
    ["/:verb", 2, "a segment must not be empty"],
    ["/v1:a:b", 6, "%3A"],
    ["/a:b/c", 5, "unexpected"],
    ["/a/**/b", 7, '"**" must be the last'],
    ["/**/*", 5, '"**" must be the last'],
    ["/**/**", 5, '"**" must be the last'],
    ["/a/{x=**}/c", 11, '"**" must be the last'],
    ["/{x=**/b}", 8, '"**" must be the last'],
    ["/{a=b/{c}}", 7, "must not contain another"],
    ["/{a}/{a}", 6, '"a" stands there twice'],
    ["/{a.b}/{a.b=*}", 8, '"a.b" stands there twice'],
    ["/***", 4, "whole segments"],
    ["/foo*", 5, "whole segments"],
    ["/*foo", 3, "unexpected"],
    ["/foo{a}", 5, "whole segments"],
    ["/{a}foo", 5, "whole segments"],
    ["/{a}{b}", 5, "whole segments"],
    ["/{}", 3, "field names"],
    ["/{1}", 3, "field names"],
    ["/{a-}", 4, 'unexpected "-"'],
    ["/{a.}", 5, "field names"],
    ["/{a=}", 5, "a segment must not be empty"],
    ["/{a=/b}", 5, "a segment must not be empty"],
    ["/{a", 4, "unexpected end in a variable"],
    ["/{a=b", 6, "unexpected end in a variable"],
    ["/a}", 3, "unexpected"],
    ["/a b", 3, "unexpected"],
    ["/a?b", 3, "unexpected"],
    ["/a#b", 3, "unexpected"],
    ["/a%zz", 3, "unexpected"],
    ["/a/%FF", 4, "not UTF-8"],
    ["/{a=b:c}", 6, 'unexpected ":"'],
  ])("refuses %s at column %i", (source, column, rule) => {
    const parse = () => parseTemplate(source);
    expect(parse).toThrow(TemplateError);
    expect(parse).toThrow(rule);
    expect(parse).toThrow(`"${source}", column ${column}:`);
  });
});
