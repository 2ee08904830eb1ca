/** Serves Connect method implementations of all four kinds as grpc-js handlers on raw bytes. */
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type Message,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Code, type HandlerContext, type Interceptor, type MethodImplSpec } from "@connectrpc/connect";
import { invokeUnaryImplementation, transformInvokeImplementation } from "@connectrpc/connect/protocol";
import type {
  MethodDefinition,
  sendUnaryData,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedHandleCall,
} from "@grpc/grpc-js";
import { rpcError } from "../errors.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { runInCall } from "./context.ts";
import { toGrpcMetadata } from "./grpc-metadata.ts";
import { handlerContext, ServerCall, type Serving } from "./server-call.ts";
import { servedError, statusOf } from "./status.ts";

/** Describes a method to grpc-js; messages stay bytes, so that they are decoded where errors can be told properly. */
export function methodDefinition({ method }: MethodImplSpec): MethodDefinition<Uint8Array, Uint8Array> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
    responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
    requestSerialize: asBuffer,
    requestDeserialize: (bytes) => bytes,
    responseSerialize: asBuffer,
    responseDeserialize: (bytes) => bytes,
  };
}

/** The handler of a method. Interceptors are outermost first. */
export function methodHandler(
  spec: MethodImplSpec,
  interceptors: Interceptor[],
  serving: Serving,
): UntypedHandleCall {
  switch (spec.kind) {
    case "unary":
      return (call: ServerUnaryCall<Uint8Array, Uint8Array>, respond: sendUnaryData<Uint8Array>) => {
        serveOne(spec, serving, call, respond, async (context) => {
          const input = decode(spec.method.input, call.request);
          if (interceptors.length > 0) return invokeUnaryImplementation(spec, context, input, interceptors);
          return create(spec.method.output, await spec.impl(input, context));
        });
      };
    case "client_streaming":
      return (call: ServerReadableStream<Uint8Array, Uint8Array>, respond: sendUnaryData<Uint8Array>) => {
        serveOne(spec, serving, call, respond, (context) => {
          const input = decodeEach(spec.method.input, call, context.signal);
          return only(transformInvokeImplementation(spec, context, interceptors)(input));
        });
      };
    case "server_streaming":
      return (call: ServerWritableStream<Uint8Array, Uint8Array>) => {
        serveMany(spec, serving, call, (context) => {
          const input = justOne(decode(spec.method.input, call.request));
          return transformInvokeImplementation(spec, context, interceptors)(input);
        });
      };
    case "bidi_streaming":
      return (call: ServerDuplexStream<Uint8Array, Uint8Array>) => {
        serveMany(spec, serving, call, (context) => {
          const input = decodeEach(spec.method.input, call, context.signal);
          return transformInvokeImplementation(spec, context, interceptors)(input);
        });
      };
  }
}

type OneAnswer = ServerUnaryCall<Uint8Array, Uint8Array> | ServerReadableStream<Uint8Array, Uint8Array>;
type ManyAnswers = ServerWritableStream<Uint8Array, Uint8Array> | ServerDuplexStream<Uint8Array, Uint8Array>;

/** Serves a call that is answered with one message. */
function serveOne(
  { method }: MethodImplSpec,
  serving: Serving,
  call: OneAnswer,
  respond: sendUnaryData<Uint8Array>,
  invoke: (context: HandlerContext) => Promise<Message>,
): void {
  const served = new ServerCall(method, call, serving, (error) => respond(statusOf(error, served.trailer)));
  call.on("cancelled", () => served.cancelled());
  const run = async (): Promise<void> => {
    const message = toBinary(method.output, await invoke(handlerContext(served)));
    if (served.over) return;
    if (served.header !== undefined) call.sendMetadata(toGrpcMetadata(served.header));
    respond(null, message, served.trailer && toGrpcMetadata(served.trailer));
    served.end();
  };
  runInCall(served, run).catch((thrown: unknown) => fail(served, thrown));
}

/** Serves a call that is answered with any number of messages. */
function serveMany(
  { method }: MethodImplSpec,
  serving: Serving,
  call: ManyAnswers,
  invoke: (context: HandlerContext) => AsyncIterable<Message>,
): void {
  const served = new ServerCall(method, call, serving, (error) => {
    call.emit("error", statusOf(error, served.trailer));
  });
  call.on("cancelled", () => served.cancelled());
  const run = async (): Promise<void> => {
    let headerSent = false;
    for await (const message of invoke(handlerContext(served))) {
      if (served.over) return;
      if (!headerSent) call.sendMetadata(toGrpcMetadata(served.header ?? new Headers()));
      headerSent = true;
      if (!call.write(toBinary(method.output, message))) await drained(call, served.signal);
    }
    if (served.over) return;
    if (!headerSent) call.sendMetadata(toGrpcMetadata(served.header ?? new Headers()));
    call.end(served.trailer && toGrpcMetadata(served.trailer));
    served.end();
  };
  runInCall(served, run).catch((thrown: unknown) => fail(served, thrown));
}

function fail(served: ServerCall, thrown: unknown): void {
  served.abort(servedError(thrown, served.over ? served.signal : undefined));
}

function decode<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    const message = `the request is not a valid ${schema.typeName}`;
    throw rpcError(Code.InvalidArgument, Reason.MALFORMED_BODY, message, { cause });
  }
}

/** The messages of a streaming request. Ends with the signal's reason when the call is over before they are. */
async function* decodeEach(
  schema: DescMessage,
  call: ServerReadableStream<Uint8Array, Uint8Array> | ServerDuplexStream<Uint8Array, Uint8Array>,
  signal: AbortSignal,
): AsyncIterable<Message> {
  try {
    // A handler may stop reading and still answer: leaving the iterator must not destroy the stream.
    for await (const bytes of call.iterator({ destroyOnReturn: false }))
      yield decode(schema, bytes as Uint8Array);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}

async function* justOne(message: Message): AsyncIterable<Message> {
  yield message;
}

/** The message of an iterable that yields one. Reads on to its end, where Connect sets the trailers. */
async function only(messages: AsyncIterable<Message>): Promise<Message> {
  let result: Message | undefined;
  for await (const message of messages) result = message;
  if (result === undefined) throw new TypeError("a client-streaming handler answered nothing");
  return result;
}

function drained(call: ManyAnswers, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.off("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    call.on("drain", done);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
