import { expect, test } from "vitest";
import { splitStatements } from "./statements.ts";

test.each<[string, string[]]>([
  ["", []],
  ["SELECT 1", ["SELECT 1"]],
  ["SELECT 1;\nSELECT 2;\n", ["SELECT 1", "SELECT 2"]],
  ["INSERT INTO t VALUES ('a;b', \"c;d\", `e;f`);", ["INSERT INTO t VALUES ('a;b', \"c;d\", `e;f`)"]],
  ["SELECT 'it''s; \\'; fine'; SELECT 2", ["SELECT 'it''s; \\'; fine'", "SELECT 2"]],
  ["-- one; two\nSELECT 1; # three; four\n", ["-- one; two\nSELECT 1"]],
  ["/* a; b */ SELECT 1 /* c; */; /* only; this */", ["/* a; b */ SELECT 1 /* c; */"]],
  ["/*! SET x = 1 */;", ["/*! SET x = 1 */"]],
  ["SELECT 1--1;", ["SELECT 1--1"]],
  [";;", []],
])("splits %j", (text, statements) => {
  expect(splitStatements(text)).toEqual(statements);
});
