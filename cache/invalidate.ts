/**
 * Invalidates tags on all nodes. Two rounds: first every node raises the tag above all versions that it has given, then
 * all take the greatest of those, so that no entry written before escapes by a clock that ran ahead.
 */
import type { Core } from "./core.ts";
import type { TagClock } from "./frames.ts";
import type { Sender } from "./sender.ts";

/** Which nodes have applied an invalidation. */
export interface Invalidated {
  readonly applied: readonly string[];
  readonly unreachable: readonly string[];
}

/** Invalidates. */
export interface Invalidations {
  /** `tags` are hashes. */
  run(tags: readonly number[], soft: boolean, done: (outcome: Invalidated) => void): void;
  /** A node has raised a clock. */
  raised(clock: TagClock): void;
}

const TIMEOUT_MS = 1000;

/** Makes the coordinator of a node. */
export function createInvalidations(core: Core): Invalidations {
  /** Greatest version heard for a tag whose first round runs. */
  const rounds = new Map<number, number>();

  function run(tags: readonly number[], soft: boolean, done: (outcome: Invalidated) => void): void {
    for (const tag of tags) {
      const version = core.versions.next();
      core.tags.apply({ tag, version, soft });
      rounds.set(tag, Math.max(version, rounds.get(tag) ?? 0));
    }
    const clocks = () => tags.map((tag) => ({ tag, version: rounds.get(tag) ?? 0, soft }));
    const others = [...core.senders()];
    tell(others, clocks(), true, (reached) => {
      const raised = clocks();
      for (const tag of tags) rounds.delete(tag);
      for (const clock of raised) core.tags.apply(clock);
      tell(reached, raised, false, (applied) => {
        const names = applied.map(({ node }) => node);
        done({
          applied: [core.self, ...names],
          unreachable: core
            .ring()
            .members.map(({ id }) => id)
            .filter((id) => id !== core.self && !names.includes(id)),
        });
      });
    });
  }

  /** Sends the clocks to each node and tells which of them have applied all, at the latest when time is out. */
  function tell(
    nodes: readonly Sender[],
    clocks: readonly TagClock[],
    raise: boolean,
    done: (reached: readonly Sender[]) => void,
  ): void {
    const reached: Sender[] = [];
    let open = nodes.length;
    let isDone = false;
    const finish = () => {
      if (isDone) return;
      isDone = true;
      cancel();
      done(reached);
    };
    const cancel = core.clock.after(TIMEOUT_MS, finish);
    const settled = (sender: Sender, isApplied: boolean) => {
      if (isApplied) reached.push(sender);
      open--;
      if (open === 0) finish();
    };
    for (const sender of nodes) {
      for (const [index, clock] of clocks.entries()) {
        // Frames are applied in order: the last one tells for all.
        const isLast = index === clocks.length - 1;
        sender.notify(
          { kind: "tag", clock, raise },
          isLast
            ? {
                applied: () => settled(sender, true),
                refused: () => settled(sender, false),
                lost: () => settled(sender, false),
              }
            : undefined,
        );
      }
    }
    if (nodes.length === 0) finish();
  }

  return {
    run,
    raised(clock) {
      const version = rounds.get(clock.tag);
      if (version !== undefined && clock.version > version) rounds.set(clock.tag, clock.version);
      core.versions.hear(clock.version);
    },
  };
}
