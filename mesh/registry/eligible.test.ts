import { expect, test } from "vitest";
import { InstanceState } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { eligible } from "./eligible.ts";
import { instanceOf } from "./testing.ts";

const suspect = { suspect: true };

test.each([
  ["nobody", [], 0],
  ["those that serve", [instanceOf(1), instanceOf(2)], 2],
  [
    "none that starts or drains",
    [
      instanceOf(1, { state: InstanceState.STARTING }),
      instanceOf(2, { state: InstanceState.DRAINING }),
      instanceOf(3, { state: InstanceState.UNSPECIFIED }),
    ],
    0,
  ],
  ["those that are not suspect", [instanceOf(1), instanceOf(2, suspect)], 1],
  [
    "all, when more than half are suspect",
    [instanceOf(1), instanceOf(2, suspect), instanceOf(3, suspect)],
    3,
  ],
  ["the last one, suspect or not", [instanceOf(1, suspect)], 1],
])("takes %s", (_, instances, count) => {
  expect(eligible(instances)).toHaveLength(count);
});
