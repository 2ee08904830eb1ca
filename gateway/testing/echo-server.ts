/** Runs the echo service as a process: `node gateway/testing/echo-server.ts`, configured like any other service. */
import { EchoService } from "../../gen/ts/heddle/testing/v1/echo_service_pb.ts";
import { configOrExit } from "../../mesh/config.ts";
import { createMesh } from "../../mesh/mesh.ts";
import { service } from "../../mesh/rpc/server.ts";
import { serve } from "../../mesh/serve.ts";
import { createEchoService } from "./echo-service.ts";

const config = configOrExit();
const mesh = createMesh({ name: "echo", config });
const name = `echo-${config.instance?.number ?? 0}`;
await serve(mesh, { services: [service(EchoService, createEchoService({ name }))], lameDuckMs: 200 });
