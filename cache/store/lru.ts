/** Least recently used, by bytes: what S3-FIFO is measured against. */
import { createIdList } from "./columns.ts";
import type { EvictionPolicy, PolicyColumns } from "./policy.ts";

/** Makes the policy; `sizeOf` gives the bytes of an entry that is in it. */
export function createLru(columns: PolicyColumns, sizeOf: (id: number) => number): EvictionPolicy {
  const queue = createIdList(columns.queueNext, columns.queuePrevious);
  let bytes = 0;
  return {
    get bytes() {
      return bytes;
    },
    insert(id, size) {
      queue.push(id);
      bytes += size;
    },
    touch(id) {
      queue.remove(id);
      queue.push(id);
    },
    resize(_id, from, to) {
      bytes += to - from;
    },
    remove(id, size) {
      queue.remove(id);
      bytes -= size;
    },
    evict() {
      const id = queue.first();
      if (id === -1) return -1;
      queue.remove(id);
      bytes -= sizeOf(id);
      return id;
    },
  };
}
