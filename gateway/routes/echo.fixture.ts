/** The echo service as the gateway learns it, for tests: descriptors from bytes, with nothing generated about them. */
import { fromBinary, toBinary, type DescFile } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, type FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { file_heddle_testing_v1_echo_service } from "../../gen/ts/heddle/testing/v1/echo_service_pb.ts";
import { buildRouteTable } from "./table.ts";
import type { Match, RouteTable, ServiceDescriptors } from "./types.ts";

/** A file and all that it imports, as reflection sends them. */
export function filesOf(file: DescFile): FileDescriptorProto[] {
  const files = new Map<string, FileDescriptorProto>();
  const add = ({ proto, dependencies }: DescFile): void => {
    if (files.has(proto.name)) return;
    files.set(proto.name, fromBinary(FileDescriptorProtoSchema, toBinary(FileDescriptorProtoSchema, proto)));
    dependencies.forEach(add);
  };
  add(file);
  return [...files.values()];
}

/** The echo service. */
export const echo: ServiceDescriptors = {
  digest: "echo",
  services: ["heddle.testing.v1.EchoService"],
  files: filesOf(file_heddle_testing_v1_echo_service),
  version: "1.0.0",
  startedAtMs: 0,
};

/** Its routes. */
export const echoTable: RouteTable = buildRouteTable([echo]).table;

/** The match of a request that must have one. */
export function matchOf(httpMethod: string, path: string, table: RouteTable = echoTable): Match {
  const match = table.match(httpMethod, path);
  if (!("route" in match)) throw new Error(`${httpMethod} ${path} leads to ${JSON.stringify(match)}`);
  return match;
}
