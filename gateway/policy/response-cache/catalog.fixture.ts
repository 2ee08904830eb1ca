/** The catalog service as a gateway learns it, for tests: its options are bytes that the descriptors carry along. */
import { file_heddle_testing_v1_catalog_service } from "../../../gen/ts/heddle/testing/v1/catalog_service_pb.ts";
import { filesOf } from "../../routes/echo.fixture.ts";
import { buildRouteTable } from "../../routes/table.ts";
import type { MethodEntry } from "../../routes/types.ts";

/** Its table, and what is wrong with it. */
export const catalog = buildRouteTable([
  {
    digest: "catalog",
    services: ["heddle.testing.v1.CatalogService"],
    files: filesOf(file_heddle_testing_v1_catalog_service),
    version: "1.0.0",
    startedAtMs: 0,
  },
]);

/** One of its methods. */
export function method(name: string): MethodEntry {
  const entry = catalog.table.methods.get(`/heddle.testing.v1.CatalogService/${name}`);
  if (entry === undefined) throw new TypeError(`there is no ${name}`);
  return entry;
}
