/** From the metrics of processes: which MySQL member is primary, and from which members each process reads. Pure. */

/** A sample of a metric. */
interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Roles of members by address, such as `primary`, as a process sees them. */
export function rolesIn(metrics: string): ReadonlyMap<string, string> {
  const present = samplesOf(metrics, "mesh_db_member").filter(({ value }) => value === 1);
  return new Map(present.map(({ labels }) => [labels["member"] ?? "", (labels["role"] ?? "").toLowerCase()]));
}

/** `reads mysql-2 97 %, mysql-1 3 %`: how a process spread its reads so far; empty if it made none. */
export function readsIn(metrics: string, nameOf: (member: string) => string): string {
  const counts = samplesOf(metrics, "mesh_db_reads_total").filter(({ value }) => value > 0);
  const total = counts.reduce((sum, { value }) => sum + value, 0);
  if (total === 0) return "";
  const shares = counts
    .toSorted((a, b) => b.value - a.value)
    .map(({ labels, value }) => `${nameOf(labels["member"] ?? "")} ${Math.round((100 * value) / total)} %`);
  return `reads ${shares.join(", ")}`;
}

/** Samples of one metric in the text format of Prometheus. */
function samplesOf(metrics: string, name: string): readonly Sample[] {
  return metrics.split("\n").flatMap((line) => {
    const [, labels, value] = line.startsWith(`${name}{`) ? (/^\w+\{(.*)\} (\S+)/.exec(line) ?? []) : [];
    if (labels === undefined || value === undefined) return [];
    const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = "", text = ""]) => [key, text]);
    return [{ labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) }];
  });
}
