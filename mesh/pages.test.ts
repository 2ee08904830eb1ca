import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { BadRequestSchema } from "../gen/ts/google/rpc/error_details_pb.ts";
import { cutPage, pageCursor, pageSize } from "./pages.ts";

const LIST = ["orders", "ada"];

test.each([
  [0, 50],
  [1, 1],
  [1000, 1000],
  [1001, 1000],
])("a page size of %i means %i", (requested, size) => expect(pageSize(requested)).toBe(size));

describe("page tokens", () => {
  const token = cutPage(["a", "b", "ü-3"], 2, LIST, (row) => row).nextPageToken;

  test("lead to where the next page begins", () => {
    expect(pageCursor(token, LIST)).toBe("b");
    expect(pageCursor(cutPage(["ü-3", "x"], 1, LIST, (row) => row).nextPageToken, LIST)).toBe("ü-3");
  });

  test("are empty after the last page and before the first one", () => {
    expect(cutPage(["a", "b"], 2, LIST, (row) => row)).toEqual({ rows: ["a", "b"], nextPageToken: "" });
    expect(cutPage([], 2, LIST, String)).toEqual({ rows: [], nextPageToken: "" });
    expect(pageCursor("", LIST)).toBeUndefined();
  });

  test.each([
    ["made up", "abc"],
    ["of a wrong alphabet", "%%%%"],
    ["with a character more", `${token}A`],
    ["with a changed cursor", `${token.slice(0, -2)}Yg`.replace(/.$/, "w")],
    ["padded", `${token}=`],
  ])("that are %s are refused", (_, forged) => {
    expect(() => pageCursor(forged, LIST)).toThrow(ConnectError);
  });

  test("of a list with another filter are refused, with the field", () => {
    try {
      pageCursor(token, ["orders", "bob"]);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: Code.InvalidArgument });
      const [violation] = (error as ConnectError).findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
      expect(violation?.field).toBe("page_token");
    }
  });
});
