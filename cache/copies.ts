/** Tells a client, on its session, which copies that it keeps are out of date. */
import type { Http2Stream } from "node:http2";
import { MAX_WAITING_BYTES, type Batches } from "../mesh/cache/batches.ts";
import { writeInvalidation } from "../mesh/cache/session-codec.ts";
import type { CacheNode } from "./node.ts";

/** The copies of a client. */
export interface Copies {
  close(): void;
}

/** Begins to tell. A client that does not read is told, once it does, that all its copies are out of date. */
export function watchCopies(node: CacheNode, stream: Http2Stream, batches: Batches): Copies {
  let sequence = 0;
  let hasSkipped = false;

  function tell(keyHash: number, all: boolean): void {
    sequence++;
    batches.add((writer) => writeInvalidation(writer, { sequence, keyHash, all }));
  }

  const close = node.onNearChange((keyHash) => {
    if (hasSkipped) return;
    if (batches.waitingBytes < MAX_WAITING_BYTES) return tell(keyHash ?? 0, keyHash === undefined);
    hasSkipped = true;
    stream.once("drain", () => {
      hasSkipped = false;
      tell(0, true);
    });
  });
  return { close };
}
