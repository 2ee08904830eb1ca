/** Instances with the same digest have the same API, so that a gateway asks one of them for all. */
import { createHash } from "node:crypto";
import { clearField, clone, create, toBinary, type DescFile, type DescService } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  type FileDescriptorProto,
} from "@bufbuild/protobuf/wkt";

/**
 * SHA-256, in hex, of the `google.protobuf.FileDescriptorSet` with the files that declare the services and everything
 * they import: each file once, in order of name, without source positions. Does not depend on the order of `services`.
 */
export function descriptorDigest(services: readonly DescService[]): string {
  const files = new Map<string, DescFile>();
  const collect = (file: DescFile) => {
    if (files.has(file.name)) return;
    files.set(file.name, file);
    file.dependencies.forEach(collect);
  };
  services.forEach(({ file }) => collect(file));
  return filesDigest([...files.values()].map(({ proto }) => proto));
}

/** The same digest, of the files as reflection sends them, in any order. */
export function filesDigest(files: readonly FileDescriptorProto[]): string {
  const file = files
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((proto) => {
      const copy = clone(FileDescriptorProtoSchema, proto);
      clearField(copy, FileDescriptorProtoSchema.field.sourceCodeInfo);
      return copy;
    });
  const bytes = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file }));
  return createHash("sha256").update(bytes).digest("hex");
}
