/** Why this gateway does not route to some methods of an instance, for whoever asks about the instance. */

/** Reasons by instance id. */
export interface Problems {
  /** Replaces the reasons; none means that nothing is wrong any more. */
  set(instanceId: string, reasons: readonly string[]): void;
  get(instanceId: string): readonly string[];
  /** Hears of the reasons, now if there are any, and whenever they change; call what it returns to stop. */
  listen(instanceId: string, listener: (reasons: readonly string[]) => void): () => void;
}

/** Nothing is wrong with anybody yet. */
export function createProblems(): Problems {
  const reasonsOf = new Map<string, readonly string[]>();
  const listenersOf = new Map<string, Set<(reasons: readonly string[]) => void>>();
  return {
    set(instanceId, reasons) {
      const before = reasonsOf.get(instanceId) ?? [];
      if (before.length === reasons.length && before.every((reason, index) => reason === reasons[index]))
        return;
      if (reasons.length === 0) reasonsOf.delete(instanceId);
      else reasonsOf.set(instanceId, [...reasons]);
      for (const listener of listenersOf.get(instanceId) ?? []) listener(reasons);
    },
    get: (instanceId) => reasonsOf.get(instanceId) ?? [],
    listen(instanceId, listener) {
      const listeners = listenersOf.get(instanceId) ?? new Set();
      listenersOf.set(instanceId, listeners.add(listener));
      const reasons = reasonsOf.get(instanceId);
      if (reasons !== undefined) listener(reasons);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0 && listenersOf.get(instanceId) === listeners) listenersOf.delete(instanceId);
      };
    },
  };
}
