/** A Connect `Transport` over a channel: `createClient(OrderService, createTransport(channel))`. */
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  type MessageShape,
} from "@bufbuild/protobuf";
import { createContextValues, type Interceptor, type Transport } from "@connectrpc/connect";
import { createAsyncIterable, runStreamingCall } from "@connectrpc/connect/protocol";
import type { Reply } from "./call.ts";
import type { Channel } from "./channel.ts";
import { servedCall } from "./context.ts";
import { neverAborted } from "./deadline.ts";
import { methodInfo } from "./method.ts";

/** Options of a transport. */
export interface TransportOptions {
  /** Connect interceptors, outermost first. They run once for each call, around its retries. */
  readonly interceptors?: readonly Interceptor[];
  /** Deadline of unary calls that bring none and serve none. Default: none. */
  readonly timeoutMs?: number;
}

/** Makes a transport. Closing it is closing the channel. */
export function createTransport(channel: Channel, options: TransportOptions = {}): Transport {
  const interceptors = [...(options.interceptors ?? [])];
  return {
    // Not by Connect's runUnaryCall: it makes a timer and two controllers for each call, which the channel has no use for.
    async unary(method, signal, timeoutMs, header, message, contextValues) {
      const wanted = timeoutMs ?? (servedCall() === undefined ? options.timeoutMs : undefined);
      const send = unaryCall(channel, method, deadlineAfter(wanted));
      const answer = await interceptors.reduceRight(
        (next, interceptor) => interceptor(next),
        send,
      )({
        stream: false,
        ...requestParts(method, header, contextValues),
        method,
        message: create(method.input, message),
        signal: signal ?? neverAborted,
      });
      return answer as never; // Interceptors have no generic types: Connect casts here, too.
    },

    stream(method, signal, timeoutMs, header, input, contextValues) {
      const deadline = deadlineAfter(timeoutMs);
      return runStreamingCall({
        interceptors,
        ...(signal !== undefined && { signal }),
        req: { stream: true, ...requestParts(method, header, contextValues), method, message: input },
        next: async (request) => {
          const reply = await channel.call({
            method: methodInfo(method),
            metadata: request.header,
            deadline,
            signal: request.signal,
            request: await requestBytes(method, request.message),
          });
          const trailer = new Headers();
          return {
            stream: true,
            service: method.parent,
            method,
            header: reply.metadata,
            message: decoded(method.output, reply, trailer),
            trailer,
          };
        },
      });
    },
  };
}

function unaryCall(channel: Channel, method: DescMethodUnary, deadline: number): ReturnType<Interceptor> {
  return async (request) => {
    if (request.stream) throw new TypeError(`an interceptor made a stream of ${method.name}`);
    const reply = await channel.call({
      method: methodInfo(method),
      metadata: request.header,
      deadline,
      signal: request.signal,
      request: toBinary(method.input, request.message),
    });
    return {
      stream: false,
      service: method.parent,
      method,
      header: reply.metadata,
      message: fromBinary(method.output, reply.message!),
      trailer: reply.trailers(),
    };
  };
}

function requestParts(
  method: DescMethod,
  header: HeadersInit | undefined,
  contextValues = createContextValues(),
) {
  return {
    service: method.parent,
    requestMethod: "POST",
    url: `http://heddle/${method.parent.typeName}/${method.name}`,
    header: new Headers(header),
    contextValues,
  };
}

function deadlineAfter(timeoutMs: number | undefined): number {
  return timeoutMs === undefined || timeoutMs <= 0 ? Infinity : Date.now() + timeoutMs;
}

/** A request of one message becomes bytes at once, so that it can be sent again. */
async function requestBytes<Desc extends DescMessage>(
  method: DescMethod & { readonly input: Desc },
  messages: AsyncIterable<MessageShape<Desc>>,
): Promise<Uint8Array | AsyncIterable<Uint8Array>> {
  if (method.methodKind !== "server_streaming") return encoded(method.input, messages);
  for await (const message of messages) return toBinary(method.input, message);
  throw new TypeError(`${method.name} was called without a request`);
}

async function* encoded<Desc extends DescMessage>(
  schema: Desc,
  messages: AsyncIterable<MessageShape<Desc>>,
): AsyncIterable<Uint8Array> {
  for await (const message of messages) yield toBinary(schema, message);
}

async function* decoded<Desc extends DescMessage>(
  schema: Desc,
  { message, messages, trailers }: Reply,
  trailer: Headers,
): AsyncIterable<MessageShape<Desc>> {
  for await (const bytes of messages ?? createAsyncIterable([message!])) yield fromBinary(schema, bytes);
  for (const [name, value] of trailers()) trailer.append(name, value);
}
