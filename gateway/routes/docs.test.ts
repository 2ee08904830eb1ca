import { fromBinary, toJson } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { BadRequestSchema } from "../../gen/ts/google/rpc/error_details_pb.ts";
import { echoTable } from "./echo.fixture.ts";
import { encodeRequest } from "./request.ts";

const page = readFileSync(new URL("../../docs/transcoding.md", import.meta.url), "utf8");
const block = /```text\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
type Example = [httpMethod: string, url: string, body: string | undefined, expected: string];
const examples = [...block.matchAll(/^(\S+) (\S+)(?: (.*))?\n {4}(.*)$/gm)].map(
  (match) => match.slice(1) as Example,
);

/** What the page says comes of a request. */
function outcome(httpMethod: string, url: string, body: string | undefined): string {
  const [path = "", query = ""] = url.split("?");
  const match = echoTable.match(httpMethod, path);
  if ("notFound" in match) return "404";
  if ("allow" in match) return `405 Allow: ${match.allow.join(", ")}`;
  const { info, input } = match.route.method;
  const bytes = body === undefined ? undefined : new TextEncoder().encode(body);
  try {
    const message = encodeRequest(match, { query, contentType: "application/json", body: bytes });
    return `${info.method} ${JSON.stringify(toJson(input, fromBinary(input, message)))}`;
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    const fields = error.findDetails(BadRequestSchema)[0]?.fieldViolations.map(({ field }) => field);
    return `400 ${fields?.join(", ")}`;
  }
}

describe("docs/transcoding.md", () => {
  test("has examples", () => {
    expect(examples.length).toBeGreaterThan(10);
  });

  test.each(examples)("%s %s", (httpMethod, url, body, expected) => {
    expect(outcome(httpMethod, url, body)).toBe(expected);
  });
});
