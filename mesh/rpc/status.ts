/**
 * Between Connect's errors and a gRPC status on the wire. Details travel both ways in `grpc-status-details-bin` as
 * `google.rpc.Status`. What a handler throws by accident never reaches the caller: it gets INTERNAL and a fixed text.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { Metadata as GrpcMetadata } from "@grpc/grpc-js";
import { StatusSchema, type Status } from "../../gen/ts/google/rpc/status_pb.ts";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../errors.ts";
import { fromGrpcMetadata, toGrpcMetadata } from "./grpc-metadata.ts";

/** A gRPC status as grpc-js gives and takes it. */
export interface GrpcStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: GrpcMetadata;
}

const DETAILS_HEADER = "grpc-status-details-bin";

/** What a caller is told of an error that nobody meant it to see. */
const INTERNAL_MESSAGE = "internal error; the server's log has the cause";

/**
 * The error to answer a call with, given what its handler threw. A ConnectError stays; anything else becomes INTERNAL
 * with the cause attached for the log, unless the call was over anyway, which is then the reason.
 */
export function servedError(thrown: unknown, signal: AbortSignal | undefined): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  if (signal?.aborted && signal.reason instanceof ConnectError) return signal.reason;
  return rpcError(Code.Internal, Reason.INTERNAL, INTERNAL_MESSAGE, { cause: thrown });
}

/** The status that carries an error to the caller, with `trailers` beside it. */
export function statusOf(error: ConnectError, trailers?: Headers): GrpcStatus {
  const metadata = new GrpcMetadata();
  if (trailers !== undefined) toGrpcMetadata(trailers, metadata);
  // Metadata of an error that came over the wire belongs to that hop; only its message and details are relayed.
  if (!error.isWireError) toGrpcMetadata(error.metadata, metadata);
  if (error.details.length > 0) {
    metadata.set(DETAILS_HEADER, Buffer.from(toBinary(StatusSchema, rpcStatus(error))));
  }
  return { code: error.code, details: error.rawMessage.toWellFormed(), metadata };
}

/** An error as `google.rpc.Status`, with every detail it carries. */
export function rpcStatus(error: ConnectError): Status {
  return create(StatusSchema, {
    code: error.code,
    message: error.rawMessage,
    details: error.details.map((detail) =>
      "desc" in detail
        ? anyPack(detail.desc, create(detail.desc, detail.value))
        : { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value },
    ),
  });
}

/** The error that a status other than OK stands for. Codes that gRPC does not know become UNKNOWN. */
export function errorOf(status: GrpcStatus): ConnectError {
  const code = status.code in Code ? (status.code as Code) : Code.Unknown;
  const error = new ConnectError(status.details, code, fromGrpcMetadata(status.metadata));
  error.details = detailsOf(status.metadata);
  error.isWireError = true;
  return error;
}

function detailsOf(metadata: GrpcMetadata): ConnectError["details"] {
  const [bytes] = metadata.get(DETAILS_HEADER);
  if (!(bytes instanceof Buffer)) return [];
  try {
    return fromBinary(StatusSchema, bytes).details.map(({ typeUrl, value }) => ({
      type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
      value,
    }));
  } catch {
    return []; // Malformed details must not hide the status itself.
  }
}
