/**
 * The least that a hop from HTTP to gRPC can cost on this stack: node:http in front, a grpc-js client behind, the same
 * call for every request, no routes, no codecs, no policies. What the gateway is compared with.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Client, credentials, Metadata } from "@grpc/grpc-js";

const [address = "", path = "", message = ""] = process.argv.slice(2);
const client = new Client(address, credentials.createInsecure());
const request = Buffer.from(message, "base64");
const asIs = (bytes: Buffer) => bytes;

const server = createServer((_, response) => {
  const options = { deadline: Date.now() + 15_000 };
  client.makeUnaryRequest(path, asIs, asIs, request, new Metadata(), options, (error, reply) => {
    const body = error === null ? `{"bytes":"${reply?.toString("base64")}"}` : `{"error":"${error.message}"}`;
    const length = String(Buffer.byteLength(body));
    response.writeHead(error === null ? 200 : 500, [
      "content-type",
      "application/json",
      "content-length",
      length,
    ]);
    response.end(body);
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  console.log(JSON.stringify({ msg: "ready", listen: `127.0.0.1:${port}` }));
});
