import { expect, test } from "vitest";
import { readsIn, rolesIn } from "./database-use.ts";

const METRICS = `# HELP mesh_db_reads_total Statements of reads answered.
# TYPE mesh_db_reads_total counter
mesh_db_reads_total{schema="order",member="127.0.0.1:3311"} 3
mesh_db_reads_total{schema="order",member="127.0.0.1:3312"} 97
mesh_db_member{member="127.0.0.1:3311",role="PRIMARY",state="ONLINE",schema="order"} 1
mesh_db_member{member="127.0.0.1:3312",role="SECONDARY",state="ONLINE",schema="order"} 1
mesh_db_member_readable{schema="order",member="127.0.0.1:3312"} 1
`;

test("tells how reads are spread, the most first", () => {
  expect(readsIn(METRICS, (member) => `mysql-${member.at(-1)}`)).toBe("reads mysql-2 97 %, mysql-1 3 %");
});

test("tells nothing of a process that did not read", () => {
  expect(readsIn("", String)).toBe("");
});

test("tells the role of each member", () => {
  expect([...rolesIn(METRICS)]).toEqual([
    ["127.0.0.1:3311", "primary"],
    ["127.0.0.1:3312", "secondary"],
  ]);
});
