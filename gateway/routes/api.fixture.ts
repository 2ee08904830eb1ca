/** Small APIs for tests, as a server in any language would send them: a service whose methods have the given HTTP rules. */
import { create, fromBinary, setExtension, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  MethodOptionsSchema,
  type FileDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import { http } from "../../gen/ts/google/api/annotations_pb.ts";
import { HttpRuleSchema } from "../../gen/ts/google/api/http_pb.ts";
import type { ServiceDescriptors } from "./types.ts";

/** The rule of each method, by its name. */
export type Rules = Readonly<Record<string, MessageInitShape<typeof HttpRuleSchema>>>;

const { STRING, INT32, MESSAGE } = FieldDescriptorProto_Type;
const { OPTIONAL, REPEATED } = FieldDescriptorProto_Label;

const fields = [
  { name: "id", number: 1, type: STRING, label: OPTIONAL },
  { name: "count", number: 2, type: INT32, label: OPTIONAL },
  { name: "parent", number: 3, type: MESSAGE, label: OPTIONAL, typeName: "Thing" },
  { name: "tags", number: 4, type: STRING, label: REPEATED },
  { name: "parts", number: 5, type: MESSAGE, label: REPEATED, typeName: "Thing" },
  // The JSON name of one is the name of the other.
  { name: "old_name", jsonName: "name", number: 6, type: STRING, label: OPTIONAL },
  { name: "name", jsonName: "newName", number: 7, type: STRING, label: OPTIONAL },
];

/** A file with a message `Thing` and a service of the given name, all of whose methods take and return a `Thing`. */
export function fileOf(service: string, rules: Rules): FileDescriptorProto {
  const dot = service.lastIndexOf(".");
  const scope = service.slice(0, dot);
  const type = `.${scope}.Thing`;
  const file = create(FileDescriptorProtoSchema, {
    name: `${service}.proto`,
    package: scope,
    syntax: "proto3",
    dependency: ["google/api/annotations.proto"],
    messageType: [
      {
        name: "Thing",
        field: fields.map((field) => ({
          jsonName: field.name,
          ...field,
          typeName: "typeName" in field ? type : "",
        })),
      },
    ],
    service: [
      {
        name: service.slice(dot + 1),
        method: Object.entries(rules).map(([name, rule]) => {
          const options = create(MethodOptionsSchema);
          setExtension(options, http, create(HttpRuleSchema, rule));
          return { name, inputType: type, outputType: type, options };
        }),
      },
    ],
  });
  return fromBinary(FileDescriptorProtoSchema, toBinary(FileDescriptorProtoSchema, file));
}

/** The service as the gateway learns it, without the imports that it knows anyway. */
export function apiOf(
  service: string,
  rules: Rules,
  options: Partial<ServiceDescriptors> = {},
): ServiceDescriptors {
  return {
    digest: service,
    services: [service],
    files: [fileOf(service, rules)],
    version: "1.0.0",
    startedAtMs: 0,
    ...options,
  };
}
