/**
 * A client's stream of operations. What a client does not read bounds what is done for it: the rest of what it asked
 * waits, unexecuted, until it has caught up, so that no client makes the node grow.
 */
import type { ServerHttp2Stream } from "node:http2";
import { Status } from "../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import { createBatches, MAX_WAITING_BYTES } from "../mesh/cache/batches.ts";
import { createDeframer } from "../mesh/cache/framing.ts";
import {
  readOperations,
  result,
  writeResult,
  type Operation,
  type Result,
} from "../mesh/cache/session-codec.ts";
import { WireReader } from "../mesh/cache/wire.ts";
import { watchCopies, type Copies } from "./copies.ts";
import type { CacheNode } from "./node.ts";

/** What all clients of a node together have not read yet. */
export interface Unread {
  bytes: number;
}

/** Longest batch of operations. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** Where all clients together leave more than this unread, each may leave a little only. */
const MAX_UNREAD_BYTES = 64 * 1024 * 1024;
const LITTLE_BYTES = 128 * 1024;
/** Answers that come late, such as those that waited for a value, have no value where so much is unread already. */
const MAX_LATE_BYTES = 4 * MAX_WAITING_BYTES;

/** How a stream is ended: `malformed` for what cannot be read, `over` where the client has ended it. */
export interface SessionEnd {
  over(): void;
  malformed(error: unknown): void;
}

/** Serves a stream until it ends. */
export function serveSession(
  node: CacheNode,
  stream: ServerHttp2Stream,
  unread: Unread,
  end: SessionEnd,
): void {
  const batches = createBatches(stream);
  const take = createDeframer(MAX_BATCH_BYTES, (message) => unexecuted.push(new WireReader(message)));
  /** Messages whose operations were not all executed. */
  const unexecuted: WireReader[] = [];
  let copies: Copies | undefined;
  let counted = 0;

  function count(bytes: number): void {
    unread.bytes += bytes - counted;
    counted = bytes;
  }

  function mayGoOn(): boolean {
    count(batches.waitingBytes);
    return counted < (unread.bytes < MAX_UNREAD_BYTES ? MAX_WAITING_BYTES : LITTLE_BYTES);
  }

  function execute(op: Operation): void {
    if (op.near) copies ??= watchCopies(node, stream, batches);
    node.execute(op, (answer) => batches.add((writer) => writeResult(writer, bounded(answer))));
  }

  function bounded(answer: Result): Result {
    if (answer.value.length === 0 || batches.waitingBytes < MAX_LATE_BYTES) return answer;
    return result({ id: answer.id, status: Status.EXHAUSTED, message: "too many answers are not read yet" });
  }

  function executeUnexecuted(): void {
    try {
      for (let reader = unexecuted[0]; reader !== undefined && mayGoOn(); reader = unexecuted[0]) {
        readOperations(reader, execute, mayGoOn);
        if (reader.at >= reader.end) unexecuted.shift();
      }
    } catch (error) {
      return end.malformed(error);
    }
    if (unexecuted.length === 0 && mayGoOn()) stream.resume();
    else {
      stream.pause();
      stream.once("drain", executeUnexecuted);
    }
  }

  stream.on("data", (chunk: Buffer) => {
    try {
      take(chunk);
    } catch (error) {
      return end.malformed(error);
    }
    if (!stream.isPaused()) executeUnexecuted();
  });
  stream.on("end", () => end.over());
  stream.on("close", () => {
    count(0);
    copies?.close();
  });
}
