/**
 * Who may be written and who may be read, decided from what each member of a MySQL group says about itself and the
 * others. The newest view that a majority stands behind wins; members that still hold an older view (zombies), see no
 * majority (cut off) or are not ONLINE are never used. Pure: the monitor asks, this decides.
 */

/** One row of `performance_schema.replication_group_members`, as the member that was asked sees it. */
export interface MemberRow {
  /** `server_uuid` of the member that the row is about. */
  readonly id: string;
  /** `host:port` that the member tells others to use. */
  readonly address: string;
  /** `ONLINE`, `RECOVERING`, `UNREACHABLE`, `OFFLINE` or `ERROR`. */
  readonly state: string;
  /** `PRIMARY`, `SECONDARY` or empty. */
  readonly role: string;
}

/** What one member answered. */
export interface View {
  /** `server_uuid` of the member that answered. */
  readonly self: string;
  /** `view_id`, such as `17322222:5`: the group's incarnation and how often it changed. Empty outside a group. */
  readonly viewId: string;
  readonly members: readonly MemberRow[];
  /** Transactions that it has received but not applied yet. */
  readonly applierQueue: number;
  /** `read_only`, which `super_read_only` implies. */
  readonly readOnly: boolean;
  /** `offline_mode`. */
  readonly offline: boolean;
}

/** The last answer of each address: a view, or why there is none. */
export type Reports = ReadonlyMap<string, View | Problem>;

/** Why a member gave no view. */
export interface Problem {
  /** One phrase, such as `connect ECONNREFUSED`. */
  readonly problem: string;
  /** It answers, but refuses the account: waiting does not help. */
  readonly refused?: boolean;
  /** It did not answer in time, which may be a hiccup: once is no reason to give it up. */
  readonly late?: boolean;
}

/** A member, for metrics and status pages. */
export interface MemberStatus {
  readonly address: string;
  readonly role: "primary" | "secondary" | "none";
  /** State in the winning view, else what it says of itself, or `UNKNOWN`. */
  readonly state: string;
  /** Whether reads may go there. */
  readonly readable: boolean;
  /** Transactions that it has received but not applied yet. */
  readonly applierQueue: number;
  /** Why it is not used. */
  readonly problem?: string;
}

/** The group as it is to be used now. */
export interface Topology {
  /** The address to write to; absent while nobody may be written. */
  readonly writer?: string;
  /** Addresses to read from, sorted. The writer is one of them. */
  readonly readers: readonly string[];
  /** All members known, sorted by address. */
  readonly members: readonly MemberStatus[];
  /** The winning view; empty if there is none. */
  readonly viewId: string;
  /** Set if every member answers but refuses the account: waiting does not help. */
  readonly refusal?: string;
}

/** Limits of the decision. */
export interface TopologyLimits {
  /** A member with more transactions to apply than this is not read. Default 5000. */
  readonly maxApplierQueue?: number;
}

/** Decides. */
export function decideTopology(reports: Reports, limits: TopologyLimits = {}): Topology {
  const standing = [...reports].flatMap(([address, report]) =>
    stands(report) ? [[address, report] as const] : [],
  );
  const viewId = standing.map(([, view]) => view.viewId).reduce(newest, "");
  const winning = standing.filter(([, view]) => view.viewId === viewId);
  const members = [...reports]
    .map(([address, report]) => status(address, report, winning, limits))
    .sort((a, b) => (a.address < b.address ? -1 : 1));
  const writers = winning.filter(([address, view]) => isWriter(view, winning) && isUsable(members, address));
  return {
    // Two writers would be a group that is broken: better to wait than to choose.
    ...(writers.length === 1 && { writer: writers[0]![0] }),
    readers: members.filter(({ readable }) => readable).map(({ address }) => address),
    members,
    viewId,
    ...refusalOf(reports),
  };
}

function refusalOf(reports: Reports): Pick<Topology, "refusal"> {
  const all = [...reports];
  const refused = all.filter(([, report]) => "problem" in report && report.refused === true);
  if (all.length === 0 || refused.length < all.length) return {};
  return { refusal: all.map(([address, report]) => `${address}: ${(report as Problem).problem}`).join("; ") };
}

/** Why nobody may be written, one phrase for each member. */
export function whyNoWriter(topology: Topology): string {
  if (topology.members.length === 0) return "no member is known";
  return topology.members
    .map(({ address, problem, role, state }) => `${address}: ${problem ?? `${state} ${role}`}`)
    .join("; ");
}

type Standing = readonly [address: string, view: View];

/** A view counts if its owner is ONLINE in it and the ONLINE members are more than half of all. */
function stands(report: View | Problem): report is View {
  if ("problem" in report || report.viewId === "") return false;
  const online = report.members.filter(({ state }) => state === "ONLINE");
  return online.length * 2 > report.members.length && online.some(({ id }) => id === report.self);
}

/**
 * The newer of two view ids. The part before the colon is made from the time when the group was bootstrapped, the part
 * after it counts its changes.
 */
function newest(a: string, b: string): string {
  const [incarnationA, changesA] = numbers(a);
  const [incarnationB, changesB] = numbers(b);
  if (incarnationA !== incarnationB) return incarnationA > incarnationB ? a : b;
  return changesA >= changesB ? a : b;
}

function numbers(viewId: string): readonly [bigint, bigint] {
  const match = /^(\d+):(\d+)$/.exec(viewId);
  return match === null ? [0n, 0n] : [BigInt(match[1]!), BigInt(match[2]!)];
}

function isWriter(view: View, winning: readonly Standing[]): boolean {
  const self = view.members.find(({ id }) => id === view.self);
  return self?.role === "PRIMARY" && !view.readOnly && !view.offline && isOnline(view.self, winning);
}

function isUsable(members: readonly MemberStatus[], address: string): boolean {
  return members.some((member) => member.address === address && member.problem === undefined);
}

/** Whether at least half of those who hold the winning view see this member as ONLINE. */
function isOnline(id: string, winning: readonly Standing[]): boolean {
  const seen = winning.filter(([, view]) =>
    view.members.some((row) => row.id === id && row.state === "ONLINE"),
  );
  return seen.length * 2 >= winning.length;
}

function status(
  address: string,
  report: View | Problem,
  winning: readonly Standing[],
  { maxApplierQueue = 5000 }: TopologyLimits,
): MemberStatus {
  if ("problem" in report) {
    const row = winning.flatMap(([, view]) => view.members).find((row) => row.address === address);
    const state = row?.state ?? "UNKNOWN";
    return { address, role: "none", state, readable: false, applierQueue: 0, problem: report.problem };
  }
  const self = report.members.find(({ id }) => id === report.self);
  const problem = whyUnused(report, self, winning);
  const role = problem === undefined ? (self?.role === "PRIMARY" ? "primary" : "secondary") : "none";
  const { applierQueue } = report;
  return {
    address,
    role,
    state: self?.state ?? "OFFLINE",
    readable: problem === undefined && applierQueue <= maxApplierQueue,
    applierQueue,
    ...(problem !== undefined && { problem }),
  };
}

function whyUnused(
  view: View,
  self: MemberRow | undefined,
  winning: readonly Standing[],
): string | undefined {
  if (self === undefined || view.viewId === "") return "not in a group";
  if (self.state !== "ONLINE") return `${self.state} in its own view`;
  if (!stands(view)) return "sees no majority of its group";
  if (!winning.some(([, { self }]) => self === view.self)) return `holds an older view, ${view.viewId}`;
  if (!isOnline(view.self, winning)) return "the others do not see it ONLINE";
  if (view.offline) return "in offline mode";
  if (self.role === "PRIMARY" && view.readOnly) return "primary, but still read only";
  return undefined;
}
