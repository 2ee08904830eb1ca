/**
 * JSON names of fields. protoc gives them to its plugins, but descriptors that are compiled into C++, Java or Python
 * programs, and so those that such servers reflect, hold only the ones that a .proto file sets itself.
 */
import { protoCamelCase } from "@bufbuild/protobuf/reflect";
import type { DescriptorProto, FieldDescriptorProto, FileDescriptorProto } from "@bufbuild/protobuf/wkt";

/** Sets the JSON name of each field that has none, to what protoc makes of its name. Changes the file. */
export function fillJsonNames(file: FileDescriptorProto): void {
  fillFields(file.extension);
  file.messageType.forEach(fillMessage);
}

function fillMessage({ field, extension, nestedType }: DescriptorProto): void {
  fillFields(field);
  fillFields(extension);
  nestedType.forEach(fillMessage);
}

function fillFields(fields: readonly FieldDescriptorProto[]): void {
  for (const field of fields) if (field.jsonName === "") field.jsonName = protoCamelCase(field.name);
}
