/** What the tests of the registry share. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { InstanceSchema, InstanceState, type Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import type { Clock } from "../../mesh/clock.ts";

/** The id of instance number `n`. */
export function idOf(n: number): string {
  return `01H${String(n).padStart(23, "0")}`;
}

/** Instance number `n`: serving `test.v1.EchoService` unless told otherwise. */
export function instanceOf(n: number, fields: MessageInitShape<typeof InstanceSchema> = {}): Instance {
  return create(InstanceSchema, {
    instanceId: idOf(n),
    address: `127.0.0.1:${9000 + n}`,
    weight: 1,
    version: "1.0.0",
    services: ["test.v1.EchoService"],
    state: InstanceState.SERVING,
    ...fields,
  });
}

/** A clock that stands still until it is moved. Timers never fire. */
export function createManualClock(): Clock & { advance(ms: number): void } {
  let nowMs = 0;
  return {
    now: () => nowMs,
    monotonic: () => nowMs,
    after: () => () => undefined,
    advance(ms) {
      nowMs += ms;
    },
  };
}
