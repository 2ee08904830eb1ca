import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { Health } from "../../gen/ts/grpc/health/v1/health_pb.ts";
import {
  ServerReflection as ReflectionV1,
  ServerReflectionResponseSchema,
} from "../../gen/ts/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ReflectionV1Alpha } from "../../gen/ts/grpc/reflection/v1alpha/reflection_pb.ts";
import { EchoService } from "../../gen/ts/heddle/testing/v1/echo_service_pb.ts";
import { createReflection, descriptorSource } from "../../mesh/rpc/reflection.ts";
import { learnApi } from "./reflect.ts";

const signal = new AbortController().signal;
const reflection = createReflection(descriptorSource([EchoService, Health, ReflectionV1]));

/** A server that sends each file alone, without what it imports. */
const sparing: ServiceImpl<typeof ReflectionV1> = {
  async *serverReflectionInfo(requests, context) {
    for await (const response of reflection.serverReflectionInfo(requests, context)) {
      const answer = create(ServerReflectionResponseSchema, response).messageResponse;
      if (answer.case === "fileDescriptorResponse") answer.value.fileDescriptorProto.splice(1);
      yield { messageResponse: answer };
    }
  },
};

describe("learnApi", () => {
  test.each([
    ["v1", ReflectionV1, reflection],
    ["v1alpha alone", ReflectionV1Alpha as unknown as typeof ReflectionV1, reflection],
    ["files sent one by one", ReflectionV1, sparing],
  ])("learns services and all their files: %s", async (_, version, implementation) => {
    const transport = createRouterTransport(({ service }) => void service(version, implementation));
    const { services, files } = await learnApi(transport, signal);
    expect(services).toEqual(["heddle.testing.v1.EchoService"]);
    const names = files.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { dependency } of files) for (const name of dependency) expect(names).toContain(name);
    const file = files.find(({ name }) => name === EchoService.file.proto.name)!;
    const again = fromBinary(FileDescriptorProtoSchema, toBinary(FileDescriptorProtoSchema, file));
    expect(again).toEqual(EchoService.file.proto);
  });

  test("says that a server has no reflection", async () => {
    const transport = createRouterTransport(() => undefined);
    await expect(learnApi(transport, signal)).rejects.toMatchObject({ code: Code.Unimplemented });
  });

  test("says what a server does not describe", async () => {
    const lying = createReflection({ services: () => ["no.Such"], files: () => [] });
    const transport = createRouterTransport(({ service }) => void service(ReflectionV1, lying));
    await expect(learnApi(transport, signal)).rejects.toThrow("reflection does not describe no.Such");
  });

  test("ends with its signal", async () => {
    const transport = createRouterTransport(({ service }) => {
      service(ReflectionV1, {
        async *serverReflectionInfo(_, context) {
          yield {};
          await new Promise((_, reject) => context.signal.addEventListener("abort", reject));
        },
      });
    });
    const stop = new AbortController();
    const learning = learnApi(transport, stop.signal);
    stop.abort();
    await expect(learning).rejects.toThrow(ConnectError);
  });
});
