/** The order service: its public API, its part in sagas, and the relay that starts them. */
import { fileURLToPath } from "node:url";
import { InventoryService } from "../../gen/ts/shop/inventory/v1/inventory_service_pb.ts";
import { OrderService } from "../../gen/ts/shop/order/v1/order_service_pb.ts";
import { OrderParticipantService } from "../../gen/ts/shop/order/v1/participant_service_pb.ts";
import { createRelay } from "../../mesh/bus/relay.ts";
import { createInvalidation } from "../../mesh/cache/invalidation.ts";
import { configOrExit } from "../../mesh/config.ts";
import { createMesh } from "../../mesh/mesh.ts";
import { service } from "../../mesh/rpc/server.ts";
import { createParticipant } from "../../mesh/saga/participant.ts";
import { serve } from "../../mesh/serve.ts";
import { databaseOrExit } from "../../mesh/sql/configured.ts";
import { tokenClientInterceptor, tokenServerInterceptor } from "../../mesh/sql/consistency.ts";
import { migrate } from "../../mesh/sql/migrate.ts";
import { startRetention } from "../../mesh/sql/retention.ts";
import { createChanges } from "./changes.ts";
import { createOrderParticipant } from "./participant.ts";
import { createSagaStarter } from "./sagas.ts";
import { createOrderService } from "./service.ts";
import { sequencesOf } from "./store.ts";

const config = configOrExit();
const mesh = createMesh({ name: "order", config, interceptors: [tokenClientInterceptor()] });
const db = databaseOrExit(config, mesh.metrics);
const invalidation = createInvalidation(mesh);
const retention = startRetention({ db, log: mesh.log });
const sagas = createSagaStarter({
  address: config.temporal?.address || "127.0.0.1:7233",
  namespace: config.temporal?.namespace || "default",
  taskQueue: config.temporal?.taskQueue || "shop",
});
const changes = createChanges({ sequencesOf: (orderIds) => db.read((q) => sequencesOf(q, orderIds)) });
const participant = createParticipant(db);
let relay: ReturnType<typeof createRelay> | undefined;

const inventory = mesh.client(InventoryService);
const wake = () => relay?.kick();

await serve(mesh, {
  services: [
    service(OrderService, createOrderService({ db, inventory, changes, wake })),
    service(OrderParticipantService, createOrderParticipant({ participant, notify: changes.notify })),
  ],
  interceptors: [invalidation.interceptor, tokenServerInterceptor()],
  ready: async () => {
    await migrate(db, fileURLToPath(new URL("migrations", import.meta.url)));
    relay = createRelay({ db, publish: sagas.start, log: mesh.log });
  },
  stop: async () => {
    await relay?.close();
    await sagas.close();
    await invalidation.close();
    await retention.close();
    await db.close();
  },
});
