/** Which of the instances that offer a service may be sent calls. */
import { InstanceState, type Instance } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";

/**
 * Those that are SERVING; without the suspect ones, as long as at least half are not suspect. When more than half seem
 * to be gone at once it is likelier that the registry is cut off than that they died, so that calls decide instead
 * (Envoy's panic threshold).
 */
export function eligible(instances: readonly Instance[]): readonly Instance[] {
  const serving = instances.filter(isServing);
  const sure = serving.filter(({ suspect }) => !suspect);
  return sure.length * 2 >= serving.length ? sure : serving;
}

/** Whether an instance says that it takes calls. */
export function isServing({ state }: Instance): boolean {
  return state === InstanceState.SERVING;
}
