import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  array,
  assert,
  boolean,
  constantFrom,
  double,
  nat,
  property,
  record,
  string,
  uint8Array,
} from "fast-check";
import { describe, expect, test } from "vitest";
import {
  Ack,
  OperationKind,
  SessionRequestSchema,
  SessionResponseSchema,
  Status,
} from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import {
  readOperations,
  readResults,
  writeInvalidation,
  writeOperation,
  writeResult,
  type Invalidation,
  type Operation,
  type Result,
} from "./session-codec.ts";
import { WireReader, WireWriter } from "./wire.ts";

const uint32 = () => nat(0xffff_ffff >>> 1).map((value) => value * 2 + (value % 2));
const version = () =>
  double({ min: 0, max: Number.MAX_SAFE_INTEGER, noNaN: true, noDefaultInfinity: true }).map((value) =>
    Math.floor(value),
  );
const bytes = () => uint8Array({ maxLength: 300 });

const operations = array(
  record({
    id: uint32(),
    kind: constantFrom(OperationKind.UNSPECIFIED, OperationKind.GET, OperationKind.SET, OperationKind.TOUCH),
    key: bytes(),
    value: bytes(),
    ttlMs: uint32(),
    graceMs: uint32(),
    tags: array(string(), { maxLength: 3 }),
    encoding: uint32(),
    ifVersion: version(),
    ifAbsent: boolean(),
    leaseToken: version(),
    lease: boolean(),
    stale: boolean(),
    waitMs: uint32(),
    minVersion: version(),
    ack: constantFrom(Ack.UNSPECIFIED, Ack.ONE, Ack.AVAILABLE),
    standIn: boolean(),
    cold: boolean(),
    deadline: version(),
    near: boolean(),
  }),
  { maxLength: 5 },
);

const results = array(
  record({
    id: uint32(),
    status: constantFrom(Status.UNSPECIFIED, Status.OK, Status.NOT_FRESH),
    value: bytes(),
    version: version(),
    encoding: uint32(),
    ttlMs: uint32(),
    leaseToken: version(),
    copies: uint32(),
    owners: array(string(), { maxLength: 3 }),
    message: string(),
    hot: boolean(),
  }),
  { maxLength: 5 },
);

const invalidations = array(record({ sequence: version(), keyHash: uint32(), all: boolean() }), {
  maxLength: 5,
});

function generatedRequest(ops: readonly Operation[]) {
  return create(SessionRequestSchema, {
    operations: ops.map((op) => ({
      ...op,
      tags: [...op.tags],
      ifVersion: BigInt(op.ifVersion),
      leaseToken: BigInt(op.leaseToken),
      minVersion: BigInt(op.minVersion),
      deadline: BigInt(op.deadline),
    })),
  });
}

function generatedResponse(all: readonly Result[]) {
  return create(SessionResponseSchema, {
    results: all.map((result) => ({
      ...result,
      owners: [...result.owners],
      version: BigInt(result.version),
      leaseToken: BigInt(result.leaseToken),
    })),
  });
}

describe("the hand-written codec", () => {
  test("writes operations as the generated code does, and reads what that wrote", () => {
    assert(
      property(operations, (ops) => {
        const writer = new WireWriter();
        for (const op of ops) writeOperation(writer, op);
        const expected = toBinary(SessionRequestSchema, generatedRequest(ops));
        expect(writer.bytes().equals(expected)).toBe(true);
        const read: Operation[] = [];
        readOperations(new WireReader(Buffer.from(expected)), (op) => read.push(op));
        expect(toBinary(SessionRequestSchema, generatedRequest(read))).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  test("writes results as the generated code does, and reads what that wrote", () => {
    assert(
      property(results, (all) => {
        const writer = new WireWriter();
        for (const result of all) writeResult(writer, result);
        const expected = toBinary(SessionResponseSchema, generatedResponse(all));
        expect(writer.bytes().equals(expected)).toBe(true);
        const read: Result[] = [];
        readResults(new WireReader(Buffer.from(expected)), (result) => read.push(result), unexpected);
        expect(toBinary(SessionResponseSchema, generatedResponse(read))).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  test("writes invalidations as the generated code does, and reads what that wrote", () => {
    assert(
      property(invalidations, (all) => {
        const writer = new WireWriter();
        for (const invalidation of all) writeInvalidation(writer, invalidation);
        const generated = all.map(({ sequence, ...rest }) => ({ ...rest, sequence: BigInt(sequence) }));
        const message = create(SessionResponseSchema, { invalidations: generated });
        const expected = Buffer.from(toBinary(SessionResponseSchema, message));
        expect(writer.bytes().equals(expected)).toBe(true);
        const read: Invalidation[] = [];
        readResults(new WireReader(expected), unexpected, (invalidation) => read.push(invalidation));
        expect(read).toEqual(all);
      }),
    );
  });

  test("takes large values and buffers that have to grow", () => {
    const writer = new WireWriter(5, Buffer.alloc(16));
    const value = Buffer.alloc(300_000, 7);
    writeResult(writer, { ...generatedResult(), value });
    const [read] = fromBinary(SessionResponseSchema, writer.bytes().subarray(5)).results;
    expect(Buffer.from(read?.value ?? []).equals(value)).toBe(true);
  });

  test("throws RangeError for malformed bytes, and nothing else", () => {
    assert(
      property(uint8Array({ maxLength: 60 }), (garbage) => {
        for (const read of [readOperations, readAnything]) {
          try {
            read(new WireReader(Buffer.from(garbage)), () => {});
          } catch (error) {
            expect(error).toBeInstanceOf(RangeError);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});

function unexpected(): never {
  throw new Error("nothing of this kind was written");
}

function readAnything(reader: WireReader, each: () => void): void {
  readResults(reader, each, each);
}

function generatedResult(): Result {
  let result: Result | undefined;
  readResults(new WireReader(Buffer.from([10, 0])), (empty) => (result = empty), unexpected);
  return result as Result;
}
