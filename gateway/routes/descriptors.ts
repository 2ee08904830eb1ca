/** From file descriptors, as reflection sends them, to descriptors of services. A file that is broken costs only itself. */
import {
  createFileRegistry,
  createRegistry,
  type DescFile,
  type DescService,
  type Registry,
} from "@bufbuild/protobuf";
import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import {
  file_google_protobuf_any,
  file_google_protobuf_api,
  file_google_protobuf_descriptor,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_source_context,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_type,
  file_google_protobuf_wrappers,
} from "@bufbuild/protobuf/wkt";
import { file_google_api_annotations } from "../../gen/ts/google/api/annotations_pb.ts";
import { file_google_api_field_behavior } from "../../gen/ts/google/api/field_behavior_pb.ts";
import { file_google_api_httpbody } from "../../gen/ts/google/api/httpbody_pb.ts";
import { file_google_api_http } from "../../gen/ts/google/api/http_pb.ts";
import { file_heddle_gateway_v1_options } from "../../gen/ts/heddle/gateway/v1/options_pb.ts";
import { file_google_rpc_code } from "../../gen/ts/google/rpc/code_pb.ts";
import { file_google_rpc_error_details } from "../../gen/ts/google/rpc/error_details_pb.ts";
import { file_google_rpc_status } from "../../gen/ts/google/rpc/status_pb.ts";
import { messageOf } from "../../mesh/errors.ts";

/** What one set of files declares. */
export interface Learned {
  /** Services by full name. */
  readonly services: ReadonlyMap<string, DescService>;
  /** Files that could not be read, by the services they declare, and why. */
  readonly broken: ReadonlyMap<string, string>;
  /** All types of the set, and those that every gateway knows. */
  readonly registry: Registry;
  /** The files that could be read, and all they import. */
  readonly files: readonly DescFile[];
}

/** Files that every gateway has: some servers do not send these along. */
const builtIn: readonly DescFile[] = [
  file_google_protobuf_any,
  file_google_protobuf_api,
  file_google_protobuf_descriptor,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_source_context,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_type,
  file_google_protobuf_wrappers,
  file_google_api_annotations,
  file_google_api_field_behavior,
  file_google_api_http,
  file_google_api_httpbody,
  file_heddle_gateway_v1_options,
  file_google_rpc_code,
  file_google_rpc_error_details,
  file_google_rpc_status,
];

const builtInByName = new Map(builtIn.map((file) => [file.proto.name, file]));

/** Types that every gateway knows: google.protobuf, google.api and google.rpc. */
export const baseRegistry: Registry = createRegistry(...builtIn);

// Parsing the same files again would make other descriptors, and lose all that is compiled for these.
const learned = new WeakMap<readonly FileDescriptorProto[], Learned>();

/** Reads a set of files; the same array gives the same descriptors. */
export function learn(files: readonly FileDescriptorProto[]): Learned {
  let result = learned.get(files);
  if (result === undefined) learned.set(files, (result = read(files)));
  return result;
}

function read(files: readonly FileDescriptorProto[]): Learned {
  const protos = new Map<string, FileDescriptorProto>();
  for (const file of files) if (!protos.has(file.name)) protos.set(file.name, file);
  const done = new Map<string, DescFile | Error>();
  for (const name of protos.keys()) load(name, protos, done);
  const good = [...done.values()].filter((file): file is DescFile => !(file instanceof Error));
  return {
    services: new Map(good.flatMap((file) => file.services.map((service) => [service.typeName, service]))),
    broken: brokenServices(protos, done),
    registry: createRegistry(baseRegistry, ...good),
    files: good,
  };
}

/** Reads a file after all that it imports. */
function load(
  name: string,
  protos: ReadonlyMap<string, FileDescriptorProto>,
  done: Map<string, DescFile | Error>,
): DescFile | Error {
  const before = done.get(name);
  if (before !== undefined) return before;
  const proto = protos.get(name);
  if (proto === undefined) return keep(builtInByName.get(name) ?? new Error(`${name} is missing`));
  keep(new Error(`${name} imports itself`));
  for (const dependency of proto.dependency) {
    const file = load(dependency, protos, done);
    if (file instanceof Error) return keep(new Error(`${name} cannot be read: ${file.message}`));
  }
  try {
    const file = createFileRegistry(proto, (dependency) => asFile(done.get(dependency))).getFile(name);
    return keep(file ?? new Error(`${name} is missing`));
  } catch (error) {
    return keep(new Error(`${name} cannot be read: ${messageOf(error)}`));
  }

  function keep(file: DescFile | Error): DescFile | Error {
    done.set(name, file);
    return file;
  }
}

function asFile(file: DescFile | Error | undefined): DescFile | undefined {
  return file instanceof Error ? undefined : file;
}

function brokenServices(
  protos: ReadonlyMap<string, FileDescriptorProto>,
  done: ReadonlyMap<string, DescFile | Error>,
): Map<string, string> {
  const broken = new Map<string, string>();
  for (const file of protos.values()) {
    const error = done.get(file.name);
    if (!(error instanceof Error)) continue;
    for (const service of file.service) {
      broken.set(file.package === "" ? service.name : `${file.package}.${service.name}`, error.message);
    }
  }
  return broken;
}
