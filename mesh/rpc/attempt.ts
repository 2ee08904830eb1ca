/** Runs one call, once, on one connection. Unary answers take no detour through async iterables. */
import { Code, ConnectError } from "@connectrpc/connect";
import { Reason } from "../../gen/ts/heddle/error/v1/error_pb.ts";
import { rpcError } from "../errors.ts";
import type { Call, Reply } from "./call.ts";
import type { Connection, Stream, StreamError, StreamHead } from "./connection.ts";
import type { Metadata } from "./metadata.ts";

const unsentErrors = new WeakSet<ConnectError>();

/** Whether the call that failed with this error has certainly not begun on any server: any method may be sent again. */
export function isUnsent(error: ConnectError): boolean {
  return unsentErrors.has(error);
}

/** Marks an error as one of a call that never left this process. */
export function unsent(error: ConnectError): ConnectError {
  unsentErrors.add(error);
  return error;
}

/** Told once when an attempt is over; without an error for OK. */
export type AttemptEnd = (error?: ConnectError) => void;

/** Sends a call to an endpoint. Rejects, or ends the messages of a stream, with what went wrong as a ConnectError. */
export function attempt(connection: Connection, call: Call, ended: AttemptEnd): Promise<Reply> {
  if (call.signal.aborted) return Promise.reject(finish(cancelledBy(call.signal), ended));
  const one = call.method.kind === "unary" || call.method.kind === "client_streaming";
  try {
    return one ? attemptOne(connection, call, ended) : attemptMany(connection, call, ended);
  } catch (error) {
    return Promise.reject(finish(ConnectError.from(error, Code.Internal), ended));
  }
}

function attemptOne(connection: Connection, call: Call, ended: AttemptEnd): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  let metadata: Metadata | undefined;
  let message: Uint8Array | undefined;
  const stream = connection.open(headOf(call), {
    header: (received) => (metadata = received),
    message(bytes) {
      message = bytes;
      stream.read(); // Asks for the end.
    },
    end(trailer, failure) {
      call.signal.removeEventListener("abort", cancel);
      const error = failure === undefined ? missing(message) : failureOf(failure, call.signal);
      if (error !== undefined) return reject(finish(error, ended));
      ended();
      resolve({ metadata: metadata ?? new Headers(), message: message!, trailers: () => trailer });
    },
  });
  const cancel = () => stream.cancel();
  call.signal.addEventListener("abort", cancel, { once: true });
  sendRequest(stream, call);
  stream.read();
  return promise;
}

function attemptMany(connection: Connection, call: Call, ended: AttemptEnd): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  let trailer: Metadata | undefined;
  let answered = false;
  const answer = (metadata: Metadata): void => {
    answered = true;
    resolve({ metadata, messages: inbox.messages, trailers: () => trailer ?? new Headers() });
  };
  const inbox = createInbox(
    () => stream.read(),
    () => stream.cancel(),
  );
  const stream = connection.open(headOf(call), {
    header: answer,
    message: (bytes) => inbox.push(bytes),
    end(received, failure) {
      call.signal.removeEventListener("abort", cancel);
      trailer = received;
      const error = failure === undefined ? undefined : failureOf(failure, call.signal);
      ended(error);
      if (!answered && error !== undefined) return reject(error);
      if (!answered) answer(received);
      inbox.end(error);
    },
  });
  const cancel = () => stream.cancel();
  call.signal.addEventListener("abort", cancel, { once: true });
  sendRequest(stream, call);
  stream.read();
  return promise;
}

function headOf({ method, metadata, deadline }: Call): StreamHead {
  return { path: method.path, metadata, deadline };
}

function sendRequest(stream: Stream, { request, signal }: Call): void {
  if (request instanceof Uint8Array) {
    stream.send(request);
    stream.halfClose();
    return;
  }
  sendEach(stream, request, signal).catch(() => stream.cancel());
}

async function sendEach(
  stream: Stream,
  request: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  for await (const bytes of request) {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => stream.send(bytes, resolve));
  }
  stream.halfClose();
}

/** Messages that have come and not been taken. One is asked for at a time, so that a slow reader slows the server. */
function createInbox(read: () => void, cancel: () => void) {
  let waiting:
    { resolve(result: IteratorResult<Uint8Array>): void; reject(error: unknown): void } | undefined;
  const arrived: Uint8Array[] = [];
  let over: { readonly error?: ConnectError | undefined } | undefined;

  const iterator: AsyncIterator<Uint8Array> = {
    next() {
      const bytes = arrived.shift();
      if (bytes !== undefined) {
        read();
        return Promise.resolve({ done: false, value: bytes });
      }
      if (over?.error !== undefined) return Promise.reject(over.error);
      if (over !== undefined) return Promise.resolve({ done: true, value: undefined });
      return new Promise((resolve, reject) => (waiting = { resolve, reject }));
    },
    return() {
      if (over === undefined) cancel();
      return Promise.resolve({ done: true, value: undefined });
    },
  };

  return {
    messages: { [Symbol.asyncIterator]: () => iterator },
    push(bytes: Uint8Array): void {
      if (waiting === undefined) {
        arrived.push(bytes);
        return;
      }
      waiting.resolve({ done: false, value: bytes });
      waiting = undefined;
      read();
    },
    end(error: ConnectError | undefined): void {
      over = { error };
      if (error === undefined) waiting?.resolve({ done: true, value: undefined });
      else waiting?.reject(error);
      waiting = undefined;
    },
  };
}

function failureOf({ error, unsent: neverSent }: StreamError, signal: AbortSignal): ConnectError {
  if (signal.aborted) return cancelledBy(signal);
  return neverSent ? unsent(error) : error;
}

function finish(error: ConnectError, ended: AttemptEnd): ConnectError {
  ended(error);
  return error;
}

function missing(message: Uint8Array | undefined): ConnectError | undefined {
  if (message !== undefined) return undefined;
  return rpcError(Code.Internal, Reason.INTERNAL, "the server answered OK without the message it owes");
}

/** The error of a call that its caller gave up. */
export function cancelledBy(signal: AbortSignal): ConnectError {
  if (signal.reason instanceof ConnectError) return signal.reason;
  return new ConnectError("the caller no longer wants the call", Code.Canceled);
}
