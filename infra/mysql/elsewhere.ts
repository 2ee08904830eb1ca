/**
 * Leads a group whose members run elsewhere, such as in containers of their own: somebody else starts the processes again,
 * and this brings them back into the group.
 */
import { listenAdmin } from "../../mesh/observe/admin.ts";
import { createLog } from "../../mesh/observe/log.ts";
import { createMetrics } from "../../mesh/observe/metrics.ts";
import type { Config } from "../../mesh/config.ts";
import { leadGroup } from "./lead.ts";
import type { Member } from "./member.ts";

/** Leads until SIGTERM or SIGINT. `/readyz` of the admin port is 200 while a majority of the members is ONLINE. */
export async function leadElsewhere(config: Config, members: readonly Member[]): Promise<void> {
  const log = createLog({ service: "mysql-leader", level: config.log?.level ?? "" });
  const lead = leadGroup(members, {
    decided: ({ health, why }) => log.info({ health }, `the group is ${health}: ${why}`),
    primary: (name) => log.info({ primary: name }, `${name} is the primary`),
    failed: ({ kind, member }, reason, againInMs) =>
      log.warn({ member, againInMs }, `${member} could not ${kind}: ${reason}`),
  });
  const admin = await listenAdmin(config.admin || "127.0.0.1:0", {
    metrics: createMetrics(),
    notReady() {
      const { health, why } = lead.decision();
      return health === "whole" || health === "degraded" ? undefined : why;
    },
  });
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
  });
  await lead.stop(0);
  await admin.close();
}
