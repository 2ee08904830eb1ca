/**
 * Participant methods behind the barrier, one line each: the operation's name, its messages and its branch come from the
 * contract.
 *
 *     const on = barred(participant);
 *     return {
 *       reserveStock: on(method.reserveStock, (tx, { orderId, lines }) => reserve(tx, orderId, lines)),
 *       releaseStock: on(method.releaseStock, (tx, { orderId }) => release(tx, orderId), { undoes: method.reserveStock }),
 *     };
 */
import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import type { Branch } from "../../gen/ts/heddle/saga/v1/saga_pb.ts";
import { invalidArgument } from "../errors.ts";
import type { Tx } from "../sql/database.ts";
import type { Participant } from "./participant.ts";

/** A method of a participant service: its request has a field `branch`, its response is empty. */
export interface ParticipantMethod<I extends DescMessage, O extends DescMessage> {
  readonly name: string;
  readonly input: I;
  readonly output: O;
}

/** A request whose branch is there: the contract requires it. */
export type InBranch<Request> = Request & { readonly branch: Branch };

/** What a method does, in the transaction of its barrier. */
export type Effect<I extends DescMessage> = (tx: Tx, request: InBranch<MessageShape<I>>) => Promise<void>;

/** Makes the handler of a method. */
export type On = <I extends DescMessage, O extends DescMessage>(
  method: ParticipantMethod<I, O>,
  effect: Effect<I>,
  options?: { readonly undoes: { readonly name: string } },
) => (request: MessageShape<I>) => Promise<MessageShape<O>>;

/** Puts methods behind the barrier of a participant. */
export function barred(participant: Participant): On {
  return (method, effect, options) => (request) => {
    if (!hasBranch(request)) throw invalidArgument({ field: "branch", description: "must be set" });
    return participant.run(
      {
        branch: request.branch,
        operation: method.name,
        ...(options && { undoes: options.undoes.name }),
        request,
        response: method.output,
      },
      async (tx) => {
        await effect(tx, request);
        return create(method.output);
      },
    );
  };
}

function hasBranch<Request extends object>(request: Request): request is InBranch<Request> {
  return "branch" in request && request.branch !== undefined;
}
