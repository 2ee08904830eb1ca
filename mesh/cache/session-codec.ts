/**
 * The two messages of a cache session, written and read by hand: byte for byte what the generated code makes, at a
 * tenth of its cost. Views into the received message are handed out, not copies.
 */
import { Ack, OperationKind, Status } from "../../gen/ts/heddle/cache/v1/cache_service_pb.ts";
import type { WireReader, WireWriter } from "./wire.ts";

/** `heddle.cache.v1.Operation`; fixed64 fields as numbers. */
export interface Operation {
  id: number;
  kind: OperationKind;
  key: Uint8Array;
  value: Uint8Array;
  ttlMs: number;
  graceMs: number;
  tags: readonly string[];
  encoding: number;
  ifVersion: number;
  ifAbsent: boolean;
  leaseToken: number;
  lease: boolean;
  stale: boolean;
  waitMs: number;
  minVersion: number;
  ack: Ack;
  standIn: boolean;
  cold: boolean;
  deadline: number;
  near: boolean;
}

/** `heddle.cache.v1.Result`; fixed64 fields as numbers. */
export interface Result {
  id: number;
  status: Status;
  value: Uint8Array;
  version: number;
  encoding: number;
  ttlMs: number;
  leaseToken: number;
  copies: number;
  owners: readonly string[];
  message: string;
  hot: boolean;
}

/** `heddle.cache.v1.Invalidation`; fixed64 fields as numbers. */
export interface Invalidation {
  sequence: number;
  keyHash: number;
  all: boolean;
}

const EMPTY = Buffer.alloc(0);
const NONE: readonly string[] = [];

/** An operation with everything that is not given at its default. */
export function operation({
  id = 0,
  kind,
  key,
  value = EMPTY,
  ttlMs = 0,
  graceMs = 0,
  tags = NONE,
  encoding = 0,
  ifVersion = 0,
  ifAbsent = false,
  leaseToken = 0,
  lease = false,
  stale = false,
  waitMs = 0,
  minVersion = 0,
  ack = Ack.UNSPECIFIED,
  standIn = false,
  cold = false,
  deadline = 0,
  near = false,
}: Partial<Operation> & Pick<Operation, "kind" | "key">): Operation {
  // Spreading defaults would take ten times as long, and this is done for each operation.
  return {
    id,
    kind,
    key,
    value,
    ttlMs,
    graceMs,
    tags,
    encoding,
    ifVersion,
    ifAbsent,
    leaseToken,
    lease,
    stale,
    waitMs,
    minVersion,
    ack,
    standIn,
    cold,
    deadline,
    near,
  };
}

/** A result with everything that is not given at its default. */
export function result({
  id = 0,
  status,
  value = EMPTY,
  version = 0,
  encoding = 0,
  ttlMs = 0,
  leaseToken = 0,
  copies = 0,
  owners = NONE,
  message = "",
  hot = false,
}: Partial<Result> & Pick<Result, "status">): Result {
  return { id, status, value, version, encoding, ttlMs, leaseToken, copies, owners, message, hot };
}

/** Appends one operation to a SessionRequest. */
export function writeOperation(writer: WireWriter, op: Operation): void {
  const begun = writer.begin(1, op.key.length + op.value.length + 16);
  writeOperationFields(writer, op);
  writer.end(begun);
}

/** The fields of an Operation alone. */
export function writeOperationFields(writer: WireWriter, op: Operation): void {
  writer.uint32(1, op.id);
  writer.uint32(2, op.kind);
  writer.blob(3, op.key);
  writer.blob(4, op.value);
  writer.uint32(5, op.ttlMs);
  writer.uint32(6, op.graceMs);
  for (const tag of op.tags) writer.text(7, tag, true);
  writer.uint32(8, op.encoding);
  writer.fixed64(9, op.ifVersion);
  writer.bool(10, op.ifAbsent);
  writer.fixed64(11, op.leaseToken);
  writer.bool(12, op.lease);
  writer.bool(13, op.stale);
  writer.uint32(14, op.waitMs);
  writer.fixed64(15, op.minVersion);
  writer.uint32(16, op.ack);
  writer.bool(17, op.standIn);
  writer.bool(18, op.cold);
  writer.fixed64(19, op.deadline);
  writer.bool(20, op.near);
}

/**
 * Reads a SessionRequest, one operation after the other, for as long as `mayGoOn`: the same reader goes on from there.
 * Throws RangeError for a malformed one.
 */
export function readOperations(
  reader: WireReader,
  each: (op: Operation) => void,
  mayGoOn?: () => boolean,
): void {
  const element = (tag: number) => {
    if (tag === 10) each(readOperation(reader));
  };
  readLists(reader, element, mayGoOn);
}

/** Appends one result to a SessionResponse. */
export function writeResult(writer: WireWriter, result: Result): void {
  const begun = writer.begin(1, result.value.length + 24);
  writer.uint32(1, result.id);
  writer.uint32(2, result.status);
  writer.blob(3, result.value);
  writer.fixed64(4, result.version);
  writer.uint32(5, result.encoding);
  writer.uint32(6, result.ttlMs);
  writer.fixed64(7, result.leaseToken);
  writer.uint32(8, result.copies);
  for (const owner of result.owners) writer.text(9, owner, true);
  writer.text(10, result.message);
  writer.bool(11, result.hot);
  writer.end(begun);
}

/** Appends one invalidation to a SessionResponse. */
export function writeInvalidation(writer: WireWriter, invalidation: Invalidation): void {
  const begun = writer.begin(2, 18);
  writer.fixed64(1, invalidation.sequence);
  writer.uint32(2, invalidation.keyHash);
  writer.bool(3, invalidation.all);
  writer.end(begun);
}

/** Reads a SessionResponse, one element after the other in the order of the bytes. Throws RangeError for a malformed one. */
export function readResults(
  reader: WireReader,
  each: (result: Result) => void,
  eachInvalidation: (invalidation: Invalidation) => void,
): void {
  readLists(reader, (tag) => {
    if (tag === 10) each(readResult(reader));
    else if (tag === 18) eachInvalidation(readInvalidation(reader));
  });
}

/** Enters each message field and lets `element` read of it what it knows. */
function readLists(
  reader: WireReader,
  element: (tag: number) => void,
  mayGoOn: () => boolean = () => true,
): void {
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if ((tag & 7) !== 2) {
      reader.skip(tag & 7);
      continue;
    }
    const outer = reader.enter();
    element(tag);
    reader.leave(outer);
    if (!mayGoOn()) return;
  }
}

function readInvalidation(reader: WireReader): Invalidation {
  const invalidation = { sequence: 0, keyHash: 0, all: false };
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag === 9) invalidation.sequence = reader.fixed64();
    else if (tag === 16) invalidation.keyHash = reader.uint32();
    else if (tag === 24) invalidation.all = reader.varint() !== 0;
    else reader.skip(tag & 7);
  }
  return invalidation;
}

function readOperation(reader: WireReader): Operation {
  const op = operation({ kind: OperationKind.UNSPECIFIED, key: EMPTY });
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (!readOperationField(reader, op, tag)) reader.skip(tag & 7);
  }
  return op;
}

/** Reads the field with this tag into the operation; false if it is none of its fields. */
function readOperationField(reader: WireReader, op: Operation, tag: number): boolean {
  switch (tag) {
    case 8:
      op.id = reader.uint32();
      return true;
    case 16:
      op.kind = reader.uint32() as OperationKind;
      return true;
    case 26:
      op.key = reader.blob();
      return true;
    case 34:
      op.value = reader.blob();
      return true;
    case 40:
      op.ttlMs = reader.uint32();
      return true;
    case 48:
      op.graceMs = reader.uint32();
      return true;
    case 58:
      // A copy for each would let one message of many tags stop the node.
      if (op.tags.length === 0) op.tags = [reader.text()];
      else (op.tags as string[]).push(reader.text());
      return true;
    case 64:
      op.encoding = reader.uint32();
      return true;
    case 73:
      op.ifVersion = reader.fixed64();
      return true;
    case 80:
      op.ifAbsent = reader.varint() !== 0;
      return true;
    case 89:
      op.leaseToken = reader.fixed64();
      return true;
    case 96:
      op.lease = reader.varint() !== 0;
      return true;
    case 104:
      op.stale = reader.varint() !== 0;
      return true;
    case 112:
      op.waitMs = reader.uint32();
      return true;
    case 121:
      op.minVersion = reader.fixed64();
      return true;
    case 128:
      op.ack = reader.uint32() as Ack;
      return true;
    case 136:
      op.standIn = reader.varint() !== 0;
      return true;
    case 144:
      op.cold = reader.varint() !== 0;
      return true;
    case 153:
      op.deadline = reader.fixed64();
      return true;
    case 160:
      op.near = reader.varint() !== 0;
      return true;
    default:
      return false;
  }
}

function readResult(reader: WireReader): Result {
  const read = result({ status: Status.UNSPECIFIED });
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (!readResultField(reader, read, tag)) reader.skip(tag & 7);
  }
  return read;
}

function readResultField(reader: WireReader, result: Result, tag: number): boolean {
  switch (tag) {
    case 8:
      result.id = reader.uint32();
      return true;
    case 16:
      result.status = reader.uint32() as Status;
      return true;
    case 26:
      result.value = reader.blob();
      return true;
    case 33:
      result.version = reader.fixed64();
      return true;
    case 40:
      result.encoding = reader.uint32();
      return true;
    case 48:
      result.ttlMs = reader.uint32();
      return true;
    case 57:
      result.leaseToken = reader.fixed64();
      return true;
    case 64:
      result.copies = reader.uint32();
      return true;
    case 74:
      result.owners = [...result.owners, reader.text()];
      return true;
    case 82:
      result.message = reader.text();
      return true;
    case 88:
      result.hot = reader.varint() !== 0;
      return true;
    default:
      return false;
  }
}
