/** Replication streams over HTTP/2: what the node's state machines send, as gRPC. */
import { connect, type ClientHttp2Stream, type ServerHttp2Stream } from "node:http2";
import { createBatches, widenWindow, WINDOW_BYTES } from "../mesh/cache/batches.ts";
import { createDeframer, FRAME_HEADER_BYTES, writeFrameHeader } from "../mesh/cache/framing.ts";
import type { Frame, Hello, Inbound, Reply, Transport } from "./frames.ts";
import type { CacheNode } from "./node.ts";
import { readFrames, readReplies, replyBytes, writeFrame, writeHello } from "./replicate-codec.ts";

const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** A node that says nothing for so long is gone, even if its host still holds the connection. */
const SILENCE_MS = 5000;
/** A connection that takes so long is tried anew: the network may be whole again, and its own retries are far apart. */
const CONNECT_MS = 1000;
const PING_MS = 500;

/** Opens streams to the addresses of nodes. */
export function createHttp2Transport(addressOf: (node: string) => string): Transport {
  return {
    open(node, hello, events) {
      const http = connect(`http://${addressOf(node)}`, { settings: { initialWindowSize: WINDOW_BYTES } });
      http.once("connect", () => widenWindow(http));
      const stream = http.request({
        ":method": "POST",
        ":path": "/heddle.cache.v1.ReplicationService/Replicate",
        "content-type": "application/grpc+proto",
        te: "trailers",
      });
      let isOpen = true;
      const end = (isLost: boolean) => {
        if (!isOpen) return;
        isOpen = false;
        clearInterval(pings);
        http.destroy();
        if (isLost) setImmediate(() => events.lost());
      };
      let heardAt = performance.now();
      const heard = (error: Error | null) => {
        if (error === null) heardAt = performance.now();
      };
      const pings = setInterval(() => {
        if (performance.now() - heardAt > (http.connecting ? CONNECT_MS : SILENCE_MS)) end(true);
        else if (!http.connecting) http.ping(heard);
      }, PING_MS).unref();
      receive(
        stream,
        (message) => readReplies(message, (reply) => isOpen && events.reply(reply)),
        () => end(true),
        () => end(true),
      );
      http.on("error", () => end(true));
      http.on("close", () => end(true));
      const batches = createBatches(stream);
      batches.add((writer) => writeHello(writer, hello));
      return {
        send: (frame) => batches.add((writer) => writeFrame(writer, frame)),
        close: () => end(false),
      };
    },
  };
}

/** Serves a replication stream that another node opened. `refuse` ends it for what is malformed. */
export function serveReplication(
  node: CacheNode,
  stream: ServerHttp2Stream,
  refuse: (error: unknown) => void,
): void {
  let inbound: Inbound | undefined;
  let isOpened = false;
  const send = (reply: Reply) => {
    if (stream.destroyed || stream.writableEnded) return;
    const bytes = replyBytes(reply);
    const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + bytes.length);
    frame.set(bytes, FRAME_HEADER_BYTES);
    writeFrameHeader(frame);
    stream.write(frame);
  };
  const end = () => {
    inbound?.lost();
    inbound = undefined;
    if (!stream.destroyed) stream.close();
  };
  const onHello = (hello: Hello) => {
    if (isOpened) throw new RangeError("a second Hello on one stream");
    isOpened = true;
    inbound = node.accept(hello, { send, close: end });
    if (inbound === undefined) stream.end();
  };
  const onFrame = (frame: Frame) => {
    if (!isOpened) throw new RangeError("a replication stream begins with Hello");
    inbound?.frame(frame);
  };
  const onMessage = (message: Buffer) => {
    readFrames(message, onHello, onFrame);
    inbound?.acknowledge();
  };
  const onMalformed = (error: unknown) => {
    inbound?.lost();
    inbound = undefined;
    refuse(error);
  };
  receive(stream, onMessage, end, onMalformed);
}

/** Reads messages until the stream ends, or `onMalformed` is called for what came. */
function receive(
  stream: ClientHttp2Stream | ServerHttp2Stream,
  onMessage: (message: Buffer) => void,
  onEnd: () => void,
  onMalformed: (error: unknown) => void,
): void {
  const take = createDeframer(MAX_MESSAGE_BYTES, onMessage);
  stream.on("data", (chunk: Buffer) => {
    try {
      take(chunk);
    } catch (error) {
      onMalformed(error);
    }
  });
  stream.on("error", onEnd);
  stream.on("end", onEnd);
  stream.on("close", onEnd);
}
