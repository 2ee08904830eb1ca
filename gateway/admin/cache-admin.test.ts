import { expect, test } from "vitest";
import { silentLog } from "../../mesh/observe/log.ts";
import { catalog } from "../policy/response-cache/catalog.fixture.ts";
import { createCacheAdmin, withListings } from "./cache-admin.ts";

function make() {
  const purged: unknown[] = [];
  const responses = {
    purge(tags: readonly string[], soft: boolean) {
      purged.push([tags, soft]);
      return Promise.resolve(true);
    },
  };
  return { purged, admin: createCacheAdmin({ responses, table: () => catalog.table, log: silentLog }) };
}

test("a tag is purged with what stands for it in long lists", async () => {
  const { purged, admin } = make();
  expect(await admin.purge({ tags: ["item:1", "items"], soft: true })).toEqual({ complete: true });
  expect(purged).toEqual([[["item:1", "items", "item:*"], true]]);
  expect(withListings(["other"], catalog.table)).toEqual(["other"]);
});

test.each([{}, { tags: [] }, { tags: "item:1" }, { tag: ["item:1"] }, null, []])(
  "%j is refused",
  async (body) => {
    const { purged, admin } = make();
    await expect(admin.purge(body)).rejects.toMatchObject({ name: "ConnectError" });
    expect(purged).toEqual([]);
  },
);
