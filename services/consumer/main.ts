/** The consumer service: its public API, and its part in sagas. */
import { fileURLToPath } from "node:url";
import { ConsumerService } from "../../gen/ts/shop/consumer/v1/consumer_service_pb.ts";
import { ConsumerParticipantService } from "../../gen/ts/shop/consumer/v1/participant_service_pb.ts";
import { configOrExit } from "../../mesh/config.ts";
import { createMesh } from "../../mesh/mesh.ts";
import { service } from "../../mesh/rpc/server.ts";
import { serve } from "../../mesh/serve.ts";
import { databaseOrExit } from "../../mesh/sql/configured.ts";
import { tokenServerInterceptor } from "../../mesh/sql/consistency.ts";
import { migrate } from "../../mesh/sql/migrate.ts";
import { startRetention } from "../../mesh/sql/retention.ts";
import { createConsumerParticipant } from "./participant.ts";
import { createConsumerService } from "./service.ts";

const mesh = createMesh({ name: "consumer", config: configOrExit() });
const db = databaseOrExit(mesh.config, mesh.metrics);
const retention = startRetention({ db, log: mesh.log });

await serve(mesh, {
  services: [
    service(ConsumerService, createConsumerService({ db })),
    service(ConsumerParticipantService, createConsumerParticipant({ db })),
  ],
  interceptors: [tokenServerInterceptor()],
  ready: () => migrate(db, fileURLToPath(new URL("migrations", import.meta.url))),
  stop: async () => {
    await retention.close();
    await db.close();
  },
});
