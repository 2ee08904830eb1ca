/** The views have the form that members of a real group give while the named thing happens to them. */
import { describe, expect, test } from "vitest";
import { decideTopology, whyNoWriter, type MemberRow, type Problem, type View } from "./topology.ts";

const [A, B, C] = ["10.0.0.1:3306", "10.0.0.2:3306", "10.0.0.3:3306"];
const uuid = (address: string) => `uuid-of-${address}`;

/** `states` of A, B and C, the primary in capitals: "ONLINE!" is the primary. */
function rows(...states: string[]): MemberRow[] {
  return states.map((state, i) => {
    const address = [A, B, C][i]!;
    const isPrimary = state.endsWith("!");
    const role = isPrimary ? "PRIMARY" : state === "ONLINE" ? "SECONDARY" : "";
    return { id: uuid(address), address, state: state.replace("!", ""), role };
  });
}

function view(self: string, viewId: string, members: MemberRow[], more: Partial<View> = {}): View {
  const isPrimary = members.some((row) => row.address === self && row.role === "PRIMARY");
  return {
    self: uuid(self),
    viewId,
    members,
    applierQueue: 0,
    readOnly: !isPrimary,
    offline: false,
    ...more,
  };
}

const gone: Problem = { problem: "connect ECONNREFUSED" };
const whole = rows("ONLINE!", "ONLINE", "ONLINE");

function decide(a: View | Problem, b: View | Problem, c: View | Problem) {
  return decideTopology(
    new Map([
      [A, a],
      [B, b],
      [C, c],
    ]),
  );
}

const cases: readonly [
  what: string,
  reports: [View | Problem, View | Problem, View | Problem],
  writer: string | undefined,
  readers: string[],
][] = [
  ["a whole group", [view(A, "17:3", whole), view(B, "17:3", whole), view(C, "17:3", whole)], A, [A, B, C]],
  [
    "the primary is killed, the others have not noticed",
    [gone, view(B, "17:3", whole), view(C, "17:3", whole)],
    undefined,
    [B, C],
  ],
  [
    "the primary is killed, the others see it unreachable",
    [
      gone,
      view(B, "17:3", rows("UNREACHABLE!", "ONLINE", "ONLINE")),
      view(C, "17:3", rows("UNREACHABLE!", "ONLINE", "ONLINE")),
    ],
    undefined,
    [B, C],
  ],
  [
    "a new primary is elected but still read only",
    [
      gone,
      view(B, "17:4", rows("", "ONLINE!", "ONLINE").slice(1), { readOnly: true }),
      view(C, "17:4", rows("", "ONLINE!", "ONLINE").slice(1)),
    ],
    undefined,
    [C],
  ],
  [
    "a new primary takes over",
    [
      gone,
      view(B, "17:4", rows("", "ONLINE!", "ONLINE").slice(1)),
      view(C, "17:4", rows("", "ONLINE!", "ONLINE").slice(1)),
    ],
    B,
    [B, C],
  ],
  [
    "a frozen primary wakes up and still believes that it is the primary",
    [
      view(A, "17:3", whole),
      view(B, "17:4", rows("", "ONLINE!", "ONLINE").slice(1)),
      view(C, "17:4", rows("", "ONLINE!", "ONLINE").slice(1)),
    ],
    B,
    [B, C],
  ],
  [
    "the primary is cut off from the others, but not from us",
    [
      view(A, "17:3", rows("ONLINE!", "UNREACHABLE", "UNREACHABLE")),
      view(B, "17:4", rows("", "ONLINE!", "ONLINE").slice(1)),
      view(C, "17:4", rows("", "ONLINE!", "ONLINE").slice(1)),
    ],
    B,
    [B, C],
  ],
  [
    "the primary is cut off, and the majority has not elected another one",
    [
      view(A, "17:3", whole),
      view(B, "17:3", rows("UNREACHABLE!", "ONLINE", "ONLINE")),
      view(C, "17:3", rows("UNREACHABLE!", "ONLINE", "ONLINE")),
    ],
    undefined,
    [B, C],
  ],
  [
    "the isolated member has given up",
    [
      view(A, "17:3", [{ id: uuid(A), address: A, state: "ERROR", role: "" }], {
        readOnly: true,
        viewId: "",
      }),
      view(B, "17:4", rows("", "ONLINE!", "ONLINE").slice(1)),
      view(C, "17:4", rows("", "ONLINE!", "ONLINE").slice(1)),
    ],
    B,
    [B, C],
  ],
  [
    "two of three are gone: no majority, nobody is used",
    [view(A, "17:3", rows("ONLINE!", "UNREACHABLE", "UNREACHABLE")), gone, gone],
    undefined,
    [],
  ],
  [
    "a member recovers: it is not read yet",
    [
      view(A, "17:5", rows("ONLINE!", "ONLINE", "RECOVERING")),
      view(B, "17:5", rows("ONLINE!", "ONLINE", "RECOVERING")),
      view(C, "17:5", rows("ONLINE!", "ONLINE", "RECOVERING")),
    ],
    A,
    [A, B],
  ],
  [
    "the group was begun anew: members of the former one are not used, however often it had changed",
    [
      view(A, "17:99", whole),
      view(B, "18:2", rows("", "ONLINE!", "ONLINE").slice(1)),
      view(C, "18:2", rows("", "ONLINE!", "ONLINE").slice(1)),
    ],
    B,
    [B, C],
  ],
  [
    "a member that is in no group is not used, even if it can be written",
    [
      view(A, "", [{ id: "", address: A, state: "OFFLINE", role: "" }], { readOnly: false, self: "" }),
      gone,
      gone,
    ],
    undefined,
    [],
  ],
  [
    "a member in offline mode is not used",
    [view(A, "17:3", whole), view(B, "17:3", whole, { offline: true }), view(C, "17:3", whole)],
    A,
    [A, C],
  ],
  [
    "a member that lags far behind is not read",
    [
      view(A, "17:3", whole),
      view(B, "17:3", whole, { applierQueue: 5001 }),
      view(C, "17:3", whole, { applierQueue: 5000 }),
    ],
    A,
    [A, C],
  ],
  [
    "two members that both may be written are no primary at all",
    [view(A, "17:3", whole), view(B, "17:3", rows("ONLINE", "ONLINE!", "ONLINE")), view(C, "17:3", whole)],
    undefined,
    [A, B, C],
  ],
  ["nobody answers", [gone, gone, gone], undefined, []],
];

describe("decideTopology", () => {
  test.each(cases)("%s", (_what, reports, writer, readers) => {
    const topology = decide(...reports);
    expect({ writer: topology.writer, readers: topology.readers }).toEqual({ writer, readers });
  });

  test("a group of one is its own majority", () => {
    const alone = rows("ONLINE!");
    expect(decideTopology(new Map([[A, view(A, "17:1", alone)]]))).toMatchObject({ writer: A, readers: [A] });
  });

  test("compares view ids as numbers", () => {
    const old = view(A, "9:9", whole);
    const young = rows("ONLINE", "ONLINE!", "ONLINE");
    expect(decide(old, view(B, "10:10", young), view(C, "10:10", young)).viewId).toBe("10:10");
  });

  test("tells members, roles and why one is not used", () => {
    const { members } = decide(view(A, "17:3", whole), view(B, "17:2", whole), gone);
    expect(members).toEqual([
      { address: A, role: "primary", state: "ONLINE", readable: true, applierQueue: 0 },
      {
        address: B,
        role: "none",
        state: "ONLINE",
        readable: false,
        applierQueue: 0,
        problem: "holds an older view, 17:2",
      },
      {
        address: C,
        role: "none",
        state: "ONLINE",
        readable: false,
        applierQueue: 0,
        problem: "connect ECONNREFUSED",
      },
    ]);
  });

  test("says that waiting is in vain only if every member refuses the account", () => {
    const refused: Problem = { problem: "Access denied for user 'order'", refused: true };
    expect(decide(refused, refused, refused).refusal).toContain(`${A}: Access denied`);
    expect(decide(refused, refused, gone).refusal).toBeUndefined();
  });
});

test("whyNoWriter names every member and its state", () => {
  const topology = decide(gone, view(B, "17:3", whole), view(C, "17:3", whole));
  expect(whyNoWriter(topology)).toBe(
    `${A}: connect ECONNREFUSED; ${B}: ONLINE secondary; ${C}: ONLINE secondary`,
  );
});
