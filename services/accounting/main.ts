/** The accounting service: its public API, and its part in sagas. */
import { fileURLToPath } from "node:url";
import { AccountingService } from "../../gen/ts/shop/accounting/v1/accounting_service_pb.ts";
import { AccountingParticipantService } from "../../gen/ts/shop/accounting/v1/participant_service_pb.ts";
import { configOrExit } from "../../mesh/config.ts";
import { createMesh } from "../../mesh/mesh.ts";
import { service } from "../../mesh/rpc/server.ts";
import { createParticipant } from "../../mesh/saga/participant.ts";
import { serve } from "../../mesh/serve.ts";
import { databaseOrExit } from "../../mesh/sql/configured.ts";
import { tokenServerInterceptor } from "../../mesh/sql/consistency.ts";
import { migrate } from "../../mesh/sql/migrate.ts";
import { startRetention } from "../../mesh/sql/retention.ts";
import { createAccountingParticipant } from "./participant.ts";
import { createAccountingService } from "./service.ts";

const mesh = createMesh({ name: "accounting", config: configOrExit() });
const db = databaseOrExit(mesh.config, mesh.metrics);
const retention = startRetention({ db, log: mesh.log });

await serve(mesh, {
  services: [
    service(AccountingService, createAccountingService({ db })),
    service(
      AccountingParticipantService,
      createAccountingParticipant({ participant: createParticipant(db) }),
    ),
  ],
  interceptors: [tokenServerInterceptor()],
  ready: () => migrate(db, fileURLToPath(new URL("migrations", import.meta.url))),
  stop: async () => {
    await retention.close();
    await db.close();
  },
});
