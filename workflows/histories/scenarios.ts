/** Every path that an order workflow can take: recorded once as a history, replayed by each test run. */

/** One path. */
export interface Scenario {
  /** Name of the file. */
  readonly name: string;
  readonly workflow: "createOrder" | "cancelOrder";
  /** Which activity says no, and why. */
  readonly rejected?: { readonly activity: string; readonly reason: string };
  /** During which activity an operator cancels the workflow. */
  readonly stoppedDuring?: string;
  /** The activities that are called, in order. */
  readonly activities: readonly string[];
  /** What the workflow returns; absent if it is cancelled. */
  readonly result?: { readonly state: string; readonly reason?: string };
}

const undoOrder = ["rejectOrder"];
const undoStock = ["releaseStock", ...undoOrder];
const undoTicket = ["rejectTicket", ...undoStock];
const undoCard = ["reverseAuthorization", ...undoTicket];

/** All paths. */
export const scenarios: readonly Scenario[] = [
  {
    name: "create-approved",
    workflow: "createOrder",
    activities: [
      "verifyConsumer",
      "reserveStock",
      "createTicket",
      "authorizeCard",
      "confirmTicket",
      "commitStock",
      "approveOrder",
    ],
    result: { state: "APPROVED" },
  },
  createRejected("verifyConsumer", "ORDER_LIMIT_EXCEEDED", ["verifyConsumer", ...undoOrder]),
  createRejected("reserveStock", "OUT_OF_STOCK", ["verifyConsumer", "reserveStock", ...undoStock]),
  createRejected("createTicket", "KITCHEN_CLOSED", [
    "verifyConsumer",
    "reserveStock",
    "createTicket",
    ...undoTicket,
  ]),
  createRejected("authorizeCard", "CARD_DECLINED", [
    "verifyConsumer",
    "reserveStock",
    "createTicket",
    "authorizeCard",
    ...undoCard,
  ]),
  {
    name: "create-stopped-before-pivot",
    workflow: "createOrder",
    stoppedDuring: "reserveStock",
    // The ticket's call never leaves, but that it was begun is on record: so it is undone.
    activities: ["verifyConsumer", "reserveStock", ...undoTicket],
  },
  {
    name: "create-stopped-after-pivot",
    workflow: "createOrder",
    stoppedDuring: "confirmTicket",
    activities: [
      "verifyConsumer",
      "reserveStock",
      "createTicket",
      "authorizeCard",
      "confirmTicket",
      "commitStock",
      "approveOrder",
    ],
    result: { state: "APPROVED" },
  },
  {
    name: "cancel-done",
    workflow: "cancelOrder",
    activities: [
      "beginCancelTicket",
      "refundPayment",
      "confirmCancelTicket",
      "returnStock",
      "confirmCancelOrder",
    ],
    result: { state: "CANCELLED" },
  },
  {
    name: "cancel-refused",
    workflow: "cancelOrder",
    rejected: { activity: "beginCancelTicket", reason: "TICKET_IN_PREPARATION" },
    activities: ["beginCancelTicket", "undoCancelTicket", "undoCancelOrder"],
    result: { state: "APPROVED", reason: "TICKET_IN_PREPARATION" },
  },
];

function createRejected(activity: string, reason: string, activities: readonly string[]): Scenario {
  return {
    name: `create-rejected-${reason.toLowerCase().replaceAll("_", "-")}`,
    workflow: "createOrder",
    rejected: { activity, reason },
    activities,
    result: { state: "REJECTED", reason },
  };
}
