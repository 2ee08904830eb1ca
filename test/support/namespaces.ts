/** Network namespaces joined by a bridge, one for each member, whose links can be cut. Linux, and needs the privilege. */
import { execFileSync, spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";

/** A small network. */
export interface Network {
  /** Address of each member, in its own namespace. */
  readonly addresses: readonly string[];
  /** What to put in front of a command to run it in a member's namespace. */
  inside(member: number): readonly [command: string, ...args: string[]];
  /** Cuts a member off from everybody else, or joins it again. */
  link(member: number, state: "up" | "down"): void;
  remove(): void;
}

/** Why there can be no namespaces here; undefined if there can. */
export function whyNoNamespaces(): string | undefined {
  const name = `heddle-probe-${process.pid}`;
  const added = spawnSync("ip", ["netns", "add", name], { encoding: "utf8" });
  if (added.error !== undefined) return "there is no `ip` command";
  if (added.status !== 0) return added.stderr.trim();
  ip("netns", "del", name);
  return undefined;
}

/** Makes the network. The switch has a namespace of its own too, where no firewall of this machine looks at its frames. */
export function createNetwork(members: number): Network {
  const id = randomInt(1, 250);
  const hub = `heddle-${id}-hub`;
  const namespace = (member: number) => `heddle-${id}-${member}`;
  const addresses = Array.from({ length: members }, (_, member) => `10.213.${id}.${member + 2}`);
  ip("netns", "add", hub);
  ip("-n", hub, "link", "add", "switch", "type", "bridge");
  ip("-n", hub, "link", "set", "switch", "up");
  const plug = (port: string) => ip("-n", hub, "link", "set", port, "master", "switch", "up");

  ip("link", "add", `heddle${id}`, "type", "veth", "peer", "name", "clients", "netns", hub);
  ip("addr", "add", `10.213.${id}.1/24`, "dev", `heddle${id}`);
  ip("link", "set", `heddle${id}`, "up");
  plug("clients");
  for (const [member, address] of addresses.entries()) {
    const name = namespace(member);
    ip("netns", "add", name);
    ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", `member${member}`, "netns", hub);
    ip("-n", name, "addr", "add", `${address}/24`, "dev", "eth0");
    for (const device of ["eth0", "lo"]) ip("-n", name, "link", "set", device, "up");
    plug(`member${member}`);
  }
  return {
    addresses,
    inside: (member) => ["ip", "netns", "exec", namespace(member)],
    link: (member, state) => ip("-n", hub, "link", "set", `member${member}`, state),
    remove() {
      ip("link", "del", `heddle${id}`);
      for (const name of [hub, ...addresses.map((_, member) => namespace(member))]) ip("netns", "del", name);
    },
  };
}

function ip(...args: string[]): void {
  execFileSync("ip", args);
}
