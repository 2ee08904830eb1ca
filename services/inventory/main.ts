/** The inventory service: its public API, and its part in sagas. */
import { fileURLToPath } from "node:url";
import { InventoryService } from "../../gen/ts/shop/inventory/v1/inventory_service_pb.ts";
import { InventoryParticipantService } from "../../gen/ts/shop/inventory/v1/participant_service_pb.ts";
import { createInvalidation } from "../../mesh/cache/invalidation.ts";
import { configOrExit } from "../../mesh/config.ts";
import { createMesh } from "../../mesh/mesh.ts";
import { service } from "../../mesh/rpc/server.ts";
import { createParticipant } from "../../mesh/saga/participant.ts";
import { serve } from "../../mesh/serve.ts";
import { databaseOrExit } from "../../mesh/sql/configured.ts";
import { tokenServerInterceptor } from "../../mesh/sql/consistency.ts";
import { migrate } from "../../mesh/sql/migrate.ts";
import { startRetention } from "../../mesh/sql/retention.ts";
import { createInventoryParticipant } from "./participant.ts";
import { createInventoryService } from "./service.ts";

const mesh = createMesh({ name: "inventory", config: configOrExit() });
const db = databaseOrExit(mesh.config, mesh.metrics);
const invalidation = createInvalidation(mesh);
const retention = startRetention({ db, log: mesh.log });

await serve(mesh, {
  services: [
    service(InventoryService, createInventoryService({ db })),
    service(InventoryParticipantService, createInventoryParticipant({ participant: createParticipant(db) })),
  ],
  interceptors: [invalidation.interceptor, tokenServerInterceptor()],
  ready: () => migrate(db, fileURLToPath(new URL("migrations", import.meta.url))),
  stop: async () => {
    await invalidation.close();
    await retention.close();
    await db.close();
  },
});
