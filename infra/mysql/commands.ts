/**
 * What an operator may ask of a group while its supervisor leads it.
 */
import { decide, hasMajority, type Decision, type Situation } from "./decide.ts";
import { primaryOf } from "./lead.ts";
import type { Member } from "./member.ts";

/** Asks every member once. The decision says what the supervisor is going to do. */
export async function observeGroup(
  members: readonly Member[],
): Promise<{ situations: readonly Situation[]; decision: Decision }> {
  const situations = await Promise.all(
    members.map(async (member) => {
      const report = await member.observe(false).catch(() => undefined);
      return { name: member.name, report, isBusy: false, sinceMs: 0, retryAtMs: 0 };
    }),
  );
  return { situations, decision: decide(situations, 0, 0) };
}

/** Makes a member the primary, by `host:port` or port alone. */
export async function switchoverTo(members: readonly Member[], target: string): Promise<void> {
  const { situations } = await observeGroup(members);
  const { report } = find(situations, target);
  const primary = members.find(({ name }) => name === primaryOf(situations));
  if (primary === undefined) throw new Error("the group has no primary that could hand over");
  if (report?.state !== "ONLINE") throw new Error(`${target} is not ONLINE, so it cannot become the primary`);
  await primary.switchover(report.uuid);
}

/** Begins the group with one member, whatever the others have seen. Refused while a majority is ONLINE. */
export async function forceBootstrap(members: readonly Member[], target: string): Promise<void> {
  const { situations } = await observeGroup(members);
  const living = situations.find(({ report }) => report !== undefined && hasMajority(report));
  if (living !== undefined)
    throw new Error(`the group lives (see ${living.name}): there is nothing to force`);
  const { name, report } = find(situations, target);
  const member = members.find((member) => member.name === name);
  if (report === undefined || member === undefined)
    throw new Error(`${name} does not answer: start it first`);
  if (report.state !== "OFFLINE") await member.leave();
  await member.bootstrap();
}

function find(situations: readonly Situation[], target: string): Situation {
  const found = situations.find(({ name }) => name === target || name.endsWith(`:${target}`));
  if (found === undefined) {
    const names = situations.map(({ name }) => name).join(", ");
    throw new Error(
      `${target === "" ? "no member was named" : `no member is called ${target}`}; there are: ${names}`,
    );
  }
  return found;
}
