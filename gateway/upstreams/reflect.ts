/** Learns the API of a running server by gRPC reflection: v1, and v1alpha where a server has no other. */
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, type FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  ServerReflection as ReflectionV1,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "../../gen/ts/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ReflectionV1Alpha } from "../../gen/ts/grpc/reflection/v1alpha/reflection_pb.ts";
import { createMessageQueue } from "../../mesh/registry/message-queue.ts";
import { fillJsonNames } from "./json-names.ts";

/** What a server offers. */
export interface LearnedApi {
  /** Full names of its services, sorted; without those of gRPC itself, such as health and reflection. */
  readonly services: readonly string[];
  /** Files of the services and all that these import. */
  readonly files: readonly FileDescriptorProto[];
}

/** More files than any sane server has; a broken one must not fill the memory. */
const MAX_FILES = 10_000;

/**
 * Asks a server what it offers. Files that it does not send, though others import them, are left out.
 *
 * @throws ConnectError UNIMPLEMENTED if it has no reflection, INVALID_ARGUMENT if its answers make no sense, and whatever
 * the calls fail with.
 */
export async function learnApi(transport: Transport, signal: AbortSignal): Promise<LearnedApi> {
  try {
    return await learnWith(transport, ReflectionV1, signal);
  } catch (error) {
    if (!(error instanceof ConnectError) || error.code !== Code.Unimplemented) throw error;
    // The two versions differ in nothing but the package name.
    return learnWith(transport, ReflectionV1Alpha as unknown as typeof ReflectionV1, signal);
  }
}

async function learnWith(
  transport: Transport,
  version: typeof ReflectionV1,
  signal: AbortSignal,
): Promise<LearnedApi> {
  const conversation = converse(transport, version, signal);
  try {
    const listed = await conversation.ask({ case: "listServices", value: "" });
    if (listed.case !== "listServicesResponse") throw senseless(listed);
    const services = listed.value.service.map(({ name }) => name).filter((name) => !name.startsWith("grpc."));
    const files = new Map<string, FileDescriptorProto>();
    for (const name of services) {
      take(files, await conversation.ask({ case: "fileContainingSymbol", value: name }), name);
    }
    for (const { dependency } of files.values()) {
      for (const name of dependency) {
        if (!files.has(name))
          takeIfSent(files, await conversation.ask({ case: "fileByFilename", value: name }));
      }
    }
    return { services: services.toSorted(), files: [...files.values()] };
  } finally {
    conversation.end();
  }
}

type Question = ServerReflectionRequest["messageRequest"];
type Answer = ServerReflectionResponse["messageResponse"];

/** One stream on which each question gets one answer. */
function converse(transport: Transport, version: typeof ReflectionV1, signal: AbortSignal) {
  const stop = new AbortController();
  const questions = createMessageQueue<{ messageRequest: Question }>();
  const options = { signal: AbortSignal.any([signal, stop.signal]) };
  const answers = createClient(version, transport).serverReflectionInfo(questions, options);
  const iterator = answers[Symbol.asyncIterator]();
  return {
    async ask(messageRequest: Question): Promise<Answer> {
      questions.push({ messageRequest });
      const { done, value } = await iterator.next();
      if (done === true) throw new ConnectError("reflection ended without an answer", Code.InvalidArgument);
      return value.messageResponse;
    },
    end(): void {
      questions.end();
      stop.abort();
    },
  };
}

function take(files: Map<string, FileDescriptorProto>, answer: Answer, service: string): void {
  if (answer.case !== "fileDescriptorResponse") {
    const why = answer.case === "errorResponse" ? answer.value.errorMessage : "no file";
    throw new ConnectError(`reflection does not describe ${service}: ${why}`, Code.InvalidArgument);
  }
  takeIfSent(files, answer);
}

function takeIfSent(files: Map<string, FileDescriptorProto>, answer: Answer): void {
  if (answer.case !== "fileDescriptorResponse") return;
  for (const bytes of answer.value.fileDescriptorProto) {
    const file = fromBinary(FileDescriptorProtoSchema, bytes);
    fillJsonNames(file);
    if (!files.has(file.name)) files.set(file.name, file);
  }
  if (files.size > MAX_FILES) throw new ConnectError(`more than ${MAX_FILES} files`, Code.InvalidArgument);
}

function senseless(answer: Answer): ConnectError {
  const why = answer.case === "errorResponse" ? answer.value.errorMessage : "unexpected answer";
  return new ConnectError(`reflection does not list the services: ${why}`, Code.InvalidArgument);
}
