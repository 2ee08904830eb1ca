/** Gives each request at the public port to the protocol that it speaks. */
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { Code, type ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { hasReason, rpcError } from "../../mesh/errors.ts";
import { answerError, writeHead } from "./answer.ts";
import type { EdgeContext } from "./calls.ts";
import { createConnectHandlers, serveUniversal } from "./connect.ts";
import { Exchange } from "./exchange.ts";
import { serveGrpc } from "./grpc.ts";
import { errorTrailers } from "./grpc-status.ts";
import type { EdgeHandler } from "./listener.ts";
import { serveRest } from "./rest.ts";

/** Services of the gateway itself by path, such as health and reflection, in every protocol but REST. */
export type PlatformHandlers = ReadonlyMap<string, UniversalHandler>;

/** Makes the handler of the public port. */
export function createEdge(context: EdgeContext, platform: PlatformHandlers): EdgeHandler {
  const connectHandlers = createConnectHandlers(context);

  return (request, response) => {
    const exchange = new Exchange(request, response, context);
    serve(exchange).catch((error: unknown) => {
      context.log.error({ err: error, requestId: exchange.requestId }, "a request could not even be refused");
      response.destroy();
    });
  };

  async function serve(exchange: Exchange): Promise<void> {
    const { request } = exchange;
    const contentType = request.headers["content-type"];
    if (contentType !== undefined && grpcType.test(contentType)) {
      exchange.protocol = "grpc";
      const handler = platform.get(exchange.path);
      if (handler === undefined) return serveGrpc(exchange, context);
      exchange.route = handler.requestPath;
      return serveUniversal(exchange, handler);
    }
    const handler = universalHandler(exchange);
    return handler === undefined
      ? serveOther(exchange, contentType)
      : serveKnown(exchange, handler, contentType);
  }

  /** The handler of the method that the path names, if it names one. */
  function universalHandler({ path }: Exchange): UniversalHandler | undefined {
    const own = platform.get(path);
    if (own !== undefined) return own;
    const method = context.table().methods.get(path);
    return method === undefined ? undefined : connectHandlers(method);
  }

  /** A method named by its path, in a protocol other than gRPC. */
  async function serveKnown(
    exchange: Exchange,
    handler: UniversalHandler,
    contentType: string | undefined,
  ): Promise<void> {
    exchange.protocol = isGrpcWeb(contentType) ? "grpc_web" : "connect";
    exchange.route = handler.requestPath;
    const refusal = refusalOf(exchange, handler, contentType);
    if (refusal === undefined) {
      const patienceMs = platform.has(exchange.path) ? undefined : context.limits.maxTimeoutMs;
      return serveUniversal(exchange, handler, patienceMs);
    }
    const extra = hasReason(refusal, Reason.METHOD_NOT_ALLOWED)
      ? ["allow", handler.allowedMethods.join(", ")]
      : [];
    answerError(exchange, refusal, context.table().registry, extra);
  }

  async function serveOther(exchange: Exchange, contentType: string | undefined): Promise<void> {
    if (!isGrpcWeb(contentType)) return serveRest(exchange, context);
    exchange.protocol = "grpc_web";
    const error = rpcError(
      Code.Unimplemented,
      Reason.UNKNOWN_METHOD,
      `no service has ${exchange.path.slice(1)}`,
    );
    exchange.end(error);
    const headers = { "content-type": contentType, ...errorTrailers(error) };
    writeHead(exchange.response, 200, Object.entries(headers).flat());
    exchange.response.end();
  }
}

/** gRPC proper: not gRPC-Web. */
const grpcType = /^application\/grpc(?:[+;]|$)/i;

function isGrpcWeb(contentType: string | undefined): contentType is string {
  return contentType !== undefined && /^application\/grpc-web/i.test(contentType);
}

/** What is wrong with a request to a method by its path, which connect-node would refuse without a word. */
function refusalOf(
  { method, path }: Exchange,
  handler: UniversalHandler,
  contentType: string | undefined,
): ConnectError | undefined {
  if (!handler.allowedMethods.includes(method)) {
    const message = `${method} is not allowed on ${path}`;
    return rpcError(Code.Unimplemented, Reason.METHOD_NOT_ALLOWED, message);
  }
  if (method === "GET" || handler.supportedContentType(contentType ?? "")) return undefined;
  const found = contentType === undefined ? "there is no Content-Type" : `Content-Type is ${contentType}`;
  const message = `${found}; application/json, application/proto, application/connect+proto or another of Connect, gRPC or gRPC-Web is needed`;
  return rpcError(Code.InvalidArgument, Reason.UNSUPPORTED_MEDIA_TYPE, message);
}
