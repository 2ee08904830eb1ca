/**
 * Sagas: steps that are all done, or all undone. A saga is a plain function; this helper keeps its order right: each
 * compensation is registered before its call, a rejection undoes in reverse, and after the pivot the only way is forward.
 *
 * It knows neither Temporal nor gRPC, imports nothing, and is deterministic: it runs inside the workflow sandbox.
 * Sources: Garcia-Molina and Salem, "Sagas" (1987); Richardson, "Microservices Patterns", chapter 4.
 */

/** Which step of which saga a call belongs to: ProtoJSON of `heddle.saga.v1.Branch`. */
export interface BranchKey {
  /** The saga, such as `create-order/01J…`. */
  readonly sagaId: string;
  /** The step. An action and its compensation have the same one. */
  readonly step: string;
}

/** Why a saga is undone. */
export interface Failure {
  /** `rejected`: a participant said no. `cancelled`: an operator stopped the saga. `failed`: a step cannot go on. */
  readonly kind: "rejected" | "cancelled" | "failed";
  /** UPPER_SNAKE, such as `OUT_OF_STOCK`. */
  readonly reason: string;
  /** One sentence for people. */
  readonly message: string;
}

/** What a saga runs on. */
export interface SagaRuntime {
  /** Id of the saga, unique for ever: it is part of every participant's barrier key. */
  readonly sagaId: string;
  /** Runs work that goes on although the saga is cancelled. */
  shield<T>(work: () => Promise<T>): Promise<T>;
  /** What an error of a call means. Undefined: it is a bug in the saga; then nothing is undone, so that it can be fixed. */
  failureOf(error: unknown): Failure | undefined;
}

/** A call that belongs to a step. It must retry by itself, with the same branch, whatever is not a rejection. */
export type Invoke<T> = (branch: BranchKey) => Promise<T>;

/** Undoes a step, also one that never happened. It must not give up, and must not be rejected. */
export type Compensate = (branch: BranchKey, why: Failure) => Promise<unknown>;

/** The kinds of step, in the order in which a saga may have them. */
export interface Saga {
  /** Something that was done before the saga began, and how to undo it. */
  readonly begun: (step: { name: string; compensate: Compensate }) => void;
  /** A question: it may be rejected and leaves nothing to undo. */
  readonly check: <T>(step: { name: string; invoke: Invoke<T> }) => Promise<T>;
  /** An action that can be undone. */
  readonly step: <T>(step: { name: string; invoke: Invoke<T>; compensate: Compensate }) => Promise<T>;
  /**
   * The action that decides. If it is rejected, everything is undone; once it is done, nothing is. A cancelled saga still
   * waits for its answer. `compensate` is needed where it may be rejected: an earlier attempt may still be under way.
   */
  readonly pivot: <T>(step: { name: string; invoke: Invoke<T>; compensate?: Compensate }) => Promise<T>;
  /** An action after the pivot: it must succeed in the end. */
  readonly forward: <T>(step: { name: string; invoke: Invoke<T> }) => Promise<T>;
}

/** A saga that is written wrongly: a step in the wrong place, or a name twice. */
export class SagaMisuse extends TypeError {
  override readonly name = "SagaMisuse";
}

/**
 * Runs a saga. Resolves with undefined when all of it is done, and with the rejection when all of it is undone.
 *
 * A rejected step is compensated as well: an earlier attempt of the same call may still be under way, and only the mark
 * that the compensation leaves at the participant keeps it from taking effect later.
 *
 * @throws what made the saga fail, after all of it is undone, if that was not a rejection.
 * @throws SagaMisuse at the first wrong use; nothing is undone then.
 */
export async function runSaga(
  runtime: SagaRuntime,
  body: (saga: Saga) => Promise<void>,
): Promise<Failure | undefined> {
  const progress = createProgress();
  try {
    await body(createSteps(runtime, progress));
    return undefined;
  } catch (error) {
    const failure = error instanceof SagaMisuse ? undefined : runtime.failureOf(error);
    if (failure === undefined || progress.decided) throw error;
    await undo(runtime, progress, failure);
    if (failure.kind !== "rejected") throw error;
    return failure;
  }
}

/** How far a saga is. */
interface Progress {
  readonly names: Set<string>;
  readonly compensations: { readonly branch: BranchKey; readonly compensate: Compensate }[];
  running: string | undefined;
  pivot: string | undefined;
  decided: boolean;
}

function createProgress(): Progress {
  return { names: new Set(), compensations: [], running: undefined, pivot: undefined, decided: false };
}

function createSteps(runtime: SagaRuntime, progress: Progress): Saga {
  const enter = (name: string): BranchKey => {
    claim(progress, name);
    return { sagaId: runtime.sagaId, step: name };
  };
  const register = (branch: BranchKey, compensate: Compensate | undefined): void => {
    if (compensate !== undefined) progress.compensations.push({ branch, compensate });
  };
  return {
    begun({ name, compensate }) {
      beforePivot(progress, name);
      if (progress.names.size > 0) throw new SagaMisuse(`"${name}" has begun before the saga: name it first`);
      register(enter(name), compensate);
    },
    async check({ name, invoke }) {
      beforePivot(progress, name);
      return await run(progress, enter(name), invoke);
    },
    async step({ name, invoke, compensate }) {
      beforePivot(progress, name);
      if (typeof compensate !== "function") throw new SagaMisuse(`step "${name}" needs a compensation`);
      const branch = enter(name);
      register(branch, compensate);
      return await run(progress, branch, invoke);
    },
    async pivot({ name, invoke, compensate }) {
      beforePivot(progress, name);
      const branch = enter(name);
      register(branch, compensate);
      progress.pivot = name;
      const result = await runtime.shield(() => run(progress, branch, invoke));
      progress.decided = true;
      return result;
    },
    async forward({ name, invoke }) {
      if (!progress.decided) throw new SagaMisuse(`"${name}" must come after the pivot`);
      const branch = enter(name);
      return await runtime.shield(() => run(progress, branch, invoke));
    },
  };
}

function beforePivot(progress: Progress, name: string): void {
  if (progress.pivot === undefined) return;
  throw new SagaMisuse(`"${name}" must come before the pivot "${progress.pivot}": it could not be undone`);
}

function claim(progress: Progress, name: string): void {
  if (progress.running !== undefined) {
    throw new SagaMisuse(`"${name}" begins while "${progress.running}" still runs: await each step`);
  }
  if (progress.names.has(name)) throw new SagaMisuse(`two steps are named "${name}"`);
  progress.names.add(name);
}

async function run<T>(progress: Progress, branch: BranchKey, invoke: Invoke<T>): Promise<T> {
  progress.running = branch.step;
  try {
    return await invoke(branch);
  } finally {
    progress.running = undefined;
  }
}

async function undo(runtime: SagaRuntime, { compensations }: Progress, why: Failure): Promise<void> {
  await runtime.shield(async () => {
    for (const { branch, compensate } of compensations.toReversed()) await compensate(branch, why);
  });
}
