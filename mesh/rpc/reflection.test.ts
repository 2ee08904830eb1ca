import { createFileRegistry, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, type FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from "../../gen/ts/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ReflectionV1Alpha } from "../../gen/ts/grpc/reflection/v1alpha/reflection_pb.ts";
import { openChannel, startServer } from "./testing.ts";
import { createTransport } from "./transport.ts";

type Query = NonNullable<MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"]>;

/** Asks on one stream, and returns the answers. */
async function ask(...queries: Query[]): Promise<ServerReflectionResponse["messageResponse"][]> {
  const { address } = await startServer();
  async function* requests() {
    for (const messageRequest of queries) yield { messageRequest };
  }
  const answers: ServerReflectionResponse["messageResponse"][] = [];
  const client = createClient(ServerReflection, createTransport(openChannel({ address })));
  for await (const { messageResponse } of client.serverReflectionInfo(requests()))
    answers.push(messageResponse);
  return answers;
}

function filesOf(answer: ServerReflectionResponse["messageResponse"] | undefined): FileDescriptorProto[] {
  if (answer?.case !== "fileDescriptorResponse") throw new Error(`expected files, got ${answer?.case}`);
  return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

function fileNames(answer: ServerReflectionResponse["messageResponse"] | undefined): string[] {
  return filesOf(answer).map(({ name }) => name);
}

const ECHO = "heddle/echo/v1/echo.proto";
const VALIDATE = "buf/validate/validate.proto";

describe("reflection", () => {
  test("lists all services", async () => {
    const [answer] = await ask({ case: "listServices", value: "" });
    expect(answer?.value).toMatchObject({
      service: [
        { name: "grpc.health.v1.Health" },
        { name: "grpc.reflection.v1.ServerReflection" },
        { name: "grpc.reflection.v1alpha.ServerReflection" },
        { name: "heddle.echo.v1.EchoService" },
      ],
    });
  });

  test("gives a file by name, with all it imports, enough to build a registry", async () => {
    const [answer] = await ask({ case: "fileByFilename", value: ECHO });
    expect(fileNames(answer).slice(0, 3)).toEqual([ECHO, VALIDATE, "google/protobuf/duration.proto"]);
    const files = new Map(filesOf(answer).map((file) => [file.name, file]));
    const registry = createFileRegistry(files.get(ECHO)!, (name) => files.get(name));
    expect(registry.getService("heddle.echo.v1.EchoService")?.methods).toHaveLength(5);
  });

  test.each([
    ["a service", "heddle.echo.v1.EchoService", ECHO],
    ["a method", "heddle.echo.v1.EchoService.Echo", ECHO],
    ["a message", "heddle.echo.v1.EchoRequest", ECHO],
    ["a field", "heddle.echo.v1.EchoRequest.delay", ECHO],
    ["a nested enum", "grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"],
    ["an enum value", "grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"],
    ["an extension", "buf.validate.field", VALIDATE],
    ["an error detail", "google.rpc.ErrorInfo", "google/rpc/error_details.proto"],
  ])("finds the file of %s", async (_, symbol, file) => {
    const [answer] = await ask({ case: "fileContainingSymbol", value: symbol });
    expect(fileNames(answer)[0]).toBe(file);
  });

  test("finds extensions by type and number", async () => {
    const containingType = "google.protobuf.FieldOptions";
    const [numbers, file] = await ask(
      { case: "allExtensionNumbersOfType", value: containingType },
      { case: "fileContainingExtension", value: { containingType, extensionNumber: 1159 } },
    );
    expect(numbers?.value).toMatchObject({ baseTypeName: containingType, extensionNumber: [1159, 1160] });
    expect(fileNames(file)[0]).toBe(VALIDATE);
  });

  test("answers a message without extensions with no numbers", async () => {
    const [answer] = await ask({ case: "allExtensionNumbersOfType", value: "heddle.echo.v1.EchoRequest" });
    expect(answer?.value).toMatchObject({ extensionNumber: [] });
  });

  test("says what it does not know, and keeps the stream open", async () => {
    const answers = await ask(
      { case: "fileByFilename", value: "no/such.proto" },
      { case: "fileContainingSymbol", value: "no.Such" },
      { case: "fileContainingExtension", value: { containingType: "no.Such", extensionNumber: 1 } },
      { case: "allExtensionNumbersOfType", value: "no.Such" },
      { case: "listServices", value: "" },
    );
    expect(answers.map((answer) => answer.case)).toEqual([
      ...Array.from({ length: 4 }, () => "errorResponse"),
      "listServicesResponse",
    ]);
    expect(answers[0]?.value).toMatchObject({ errorCode: Code.NotFound });
  });

  test("sends imports once on each stream", async () => {
    const [first, second] = await ask(
      { case: "fileByFilename", value: ECHO },
      { case: "fileByFilename", value: ECHO },
    );
    expect(fileNames(first)).toContain(VALIDATE);
    expect(fileNames(second)).toEqual([ECHO]);
  });

  test("speaks v1alpha as well", async () => {
    const { address } = await startServer();
    const client = createClient(ReflectionV1Alpha, createTransport(openChannel({ address })));
    async function* requests() {
      yield {
        messageRequest: { case: "fileContainingSymbol", value: "heddle.echo.v1.EchoService" } as const,
      };
    }
    for await (const { messageResponse } of client.serverReflectionInfo(requests())) {
      expect(messageResponse.case).toBe("fileDescriptorResponse");
    }
  });
});
