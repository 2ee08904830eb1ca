/**
 * gRPC server reflection, v1 and v1alpha: any client learns this API without its .proto files. A server reflects its own
 * services; the gateway, with another source, those of the whole mesh.
 */
import { toBinary, type DescFile, type DescService, type MessageInitShape } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, type FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
} from "../../gen/ts/grpc/reflection/v1/reflection_pb.ts";
import { file_google_rpc_error_details } from "../../gen/ts/google/rpc/error_details_pb.ts";
import { messageOf } from "../errors.ts";
import { indexFiles, type FileIndex } from "./file-index.ts";

/** What is reflected. It may change while streams are open. */
export interface ReflectionSource {
  /** Full names of the services. */
  services(): Iterable<string>;
  /** Their files, and all files these import. A new array after every change, the same one in between. */
  files(): readonly FileDescriptorProto[];
}

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

/** Serves reflection. The two versions have the same messages, so the result serves both. */
export function createReflection(source: ReflectionSource): ServiceImpl<typeof ServerReflection> {
  let indexed: { readonly files: readonly FileDescriptorProto[]; readonly index: FileIndex } | undefined;
  function index(): FileIndex {
    const files = source.files();
    if (indexed?.files !== files) indexed = { files, index: indexFiles(files) };
    return indexed.index;
  }
  return {
    async *serverReflectionInfo(requests) {
      const sent = new Set<string>();
      for await (const request of requests) {
        yield {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answer(request, source, index(), sent),
        };
      }
    },
  };
}

/** Reflects the services of generated code, and the details of errors, which no service imports but any may send. */
export function descriptorSource(services: readonly DescService[]): ReflectionSource {
  const names = services.map(({ typeName }) => typeName);
  const files = new Map<string, FileDescriptorProto>();
  const add = (file: DescFile): void => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file.proto);
    file.dependencies.forEach(add);
  };
  for (const { file } of services) add(file);
  add(file_google_rpc_error_details);
  const list = [...files.values()];
  return { services: () => names, files: () => list };
}

function answer(
  { messageRequest: query }: ServerReflectionRequest,
  source: ReflectionSource,
  index: FileIndex,
  sent: Set<string>,
): Answer {
  switch (query.case) {
    case "listServices":
      return {
        case: "listServicesResponse",
        value: { service: [...source.services()].sort().map((name) => ({ name })) },
      };
    case "fileByFilename":
      return fileAnswer(index, index.byName(query.value), query.value, sent);
    case "fileContainingSymbol":
      return fileAnswer(index, index.bySymbol(query.value), query.value, sent);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = query.value;
      const file = index.byExtension(containingType, extensionNumber);
      return fileAnswer(index, file, `extension ${extensionNumber} of ${containingType}`, sent);
    }
    case "allExtensionNumbersOfType": {
      const numbers = index.extensionNumbers(query.value);
      if (numbers === undefined) return notFound(query.value);
      return {
        case: "allExtensionNumbersResponse",
        value: { baseTypeName: query.value, extensionNumber: [...numbers] },
      };
    }
    case undefined:
      return {
        case: "errorResponse",
        value: { errorCode: Code.InvalidArgument, errorMessage: "empty request" },
      };
  }
}

/** A file with everything it imports, so that one answer is enough; files that the stream has sent before are left out. */
function fileAnswer(
  index: FileIndex,
  file: FileDescriptorProto | undefined,
  wanted: string,
  sent: Set<string>,
): Answer {
  if (file === undefined) return notFound(wanted);
  try {
    const files = index.withImports(file).filter(({ name }) => name === file.name || !sent.has(name));
    for (const { name } of files) sent.add(name);
    const fileDescriptorProto = files.map((each) => toBinary(FileDescriptorProtoSchema, each));
    return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
  } catch (error) {
    return { case: "errorResponse", value: { errorCode: Code.Internal, errorMessage: messageOf(error) } };
  }
}

function notFound(wanted: string): Answer {
  return { case: "errorResponse", value: { errorCode: Code.NotFound, errorMessage: `not found: ${wanted}` } };
}
