/** What nodes say to each other, as the state machines see it. Encoding and streams are the transport's. */
import type { Change } from "./store/store.ts";

/** Opens a stream, and answers that. */
export interface Hello {
  readonly node: string;
  /** Differs after each start, and after everything was dropped. */
  readonly bootId: string;
  readonly ringDigest: string;
  readonly version: number;
  /** In an answer: drop everything, and come back under another boot id. */
  readonly mustDrop: boolean;
  readonly warm: Uint8Array;
  readonly tagClocks: readonly TagClock[];
  readonly tagFloor: number;
}

/** Entries with this tag up to this version are invalid, or stale if `soft`. */
export interface TagClock {
  /** Hash of the tag. */
  readonly tag: number;
  readonly version: number;
  readonly soft: boolean;
}

/** One thing to apply; frames of a stream are numbered from 1. */
export type Frame =
  | {
      readonly kind: "append";
      readonly change: Omit<Change, "space">;
      /** Apply it only if the key has no greater version than this. */
      readonly condition: number | undefined;
      /** Sent as it happened, not by a sweep: refuse it unless it is the newest. */
      readonly isLive: boolean;
    }
  | { readonly kind: "tag"; readonly clock: TagClock; readonly raise: boolean }
  | { readonly kind: "swept"; readonly slots: Uint8Array }
  /** Fingerprints of the slots in `slots`, in order: what the receiver ought to have at this place of the stream. */
  | { readonly kind: "audit"; readonly slots: Uint8Array; readonly prints: readonly number[] }
  | RingFrame;

/** The sender goes by this ring now, and is warm for these slots. */
export interface RingFrame {
  readonly kind: "ring";
  readonly digest: string;
  readonly warm: Uint8Array;
}

/** What the receiver of a stream says. */
export type Reply =
  | { readonly kind: "hello"; readonly hello: Hello }
  /** Frames up to this number are applied, or refused if they are listed. */
  | { readonly kind: "applied"; readonly upTo: number; readonly refused: readonly number[] }
  | { readonly kind: "raised"; readonly clock: TagClock }
  /** Slots that differ from what the sender holds. */
  | { readonly kind: "differs"; readonly slots: Uint8Array }
  | RingFrame;

/** A stream that this node opened. Frames arrive in order or the stream is lost. */
export interface Link {
  send(frame: Frame): void;
  close(): void;
}

/** Opens streams to other nodes. */
export interface Transport {
  /** `lost` is called once, also if the node could not be reached, and never after `close`. */
  open(node: string, hello: Hello, events: { reply(reply: Reply): void; lost(): void }): Link;
}

/** A stream that another node opened. */
export interface Inbound {
  frame(frame: Frame): unknown;
  /** Ends a message: what it held is acknowledged. */
  acknowledge(): unknown;
  lost(): unknown;
}

/** Bytes that a frame counts for against the credit of a stream. */
export function frameBytes(frame: Frame): number {
  if (frame.kind !== "append") return 64;
  return 64 + frame.change.key.length + (frame.change.value?.length ?? 0);
}
