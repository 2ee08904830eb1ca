import { clearField, equals, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  DescriptorProtoSchema,
  FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  type DescriptorProto,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { file_heddle_testing_v1_echo as echoFile } from "../../gen/ts/heddle/testing/v1/echo_pb.ts";
import { fillJsonNames } from "./json-names.ts";

test("fillJsonNames gives back what protoc knew and keeps what the file says", () => {
  const file = fromBinary(FileDescriptorProtoSchema, toBinary(FileDescriptorProtoSchema, echoFile.proto));
  const strip = ({ field, nestedType }: DescriptorProto): void => {
    for (const each of field) {
      if (each.name !== "renamed") clearField(each, FieldDescriptorProtoSchema.field.jsonName);
    }
    nestedType.forEach(strip);
  };
  file.messageType.forEach(strip);
  expect(equals(DescriptorProtoSchema, file.messageType[0]!, echoFile.proto.messageType[0]!)).toBe(false);
  fillJsonNames(file);
  expect(equals(FileDescriptorProtoSchema, file, echoFile.proto)).toBe(true);
});
