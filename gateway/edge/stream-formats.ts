/**
 * How a stream of messages looks over HTTP: a JSON array, lines of JSON, or server-sent events. Whatever the format, a
 * reader can tell a stream that ended from one that broke.
 */

/** One way to write a stream. All texts are whole and may be flushed. */
export interface StreamFormat {
  readonly contentType: string;
  /** What comes before the first message. */
  readonly opening: string;
  /** One message, as JSON without line breaks; `number` counts from 1. */
  message(json: string, number: number): string;
  /** What comes after the last message, `count` in all. */
  closing(count: number): string;
  /** The error that ended the stream after `count` messages: JSON of a `google.rpc.Status`. */
  error(statusJson: string, count: number): string;
  /** Whether a reader could take a stream that ends after `error` for whole, so that the connection must break. */
  readonly breaksOnError: boolean;
  /** What keeps proxies and readers from giving up while there is nothing to say; undefined if the format has no such thing. */
  readonly keepAlive: string | undefined;
}

/** Media types by which a caller chooses a format, the default first. */
export const STREAM_TYPES = ["application/json", "application/x-ndjson", "text/event-stream"] as const;

/** A media type that a stream can be written as. */
export type StreamType = (typeof STREAM_TYPES)[number];

/**
 * One JSON array. After an error its last element is `{"error": …}`, the array is left open and the connection broken:
 * a parser of the whole fails instead of taking a part for it, and an eye or an incremental parser still sees why.
 */
const jsonArray: StreamFormat = {
  contentType: "application/json",
  opening: "[",
  message: (json, number) => (number === 1 ? json : `,\n${json}`),
  closing: () => "]",
  error: (statusJson, count) => `${count === 0 ? "" : ",\n"}{"error":${statusJson}}\n`,
  breaksOnError: true,
  keepAlive: undefined,
};

/** One JSON value a line. An error is a last line `{"error": …}`. */
const ndjson: StreamFormat = {
  contentType: "application/x-ndjson",
  opening: "",
  message: (json) => `${json}\n`,
  closing: () => "",
  error: (statusJson) => `{"error":${statusJson}}\n`,
  breaksOnError: false,
  keepAlive: undefined,
};

/**
 * Server-sent events (WHATWG HTML, section 9.2). Events are numbered from `firstId`. Since a browser connects again when
 * a stream ends, the end is an event of its own, `end`; errors are events `error`.
 */
function serverSentEvents(firstId: number): StreamFormat {
  return {
    contentType: "text/event-stream",
    opening: "",
    message: (json, number) => `id: ${firstId + number - 1}\ndata: ${json}\n\n`,
    closing: () => "event: end\ndata: {}\n\n",
    error: (statusJson) => `event: error\ndata: ${statusJson}\n\n`,
    breaksOnError: false,
    keepAlive: ": keep-alive\n\n",
  };
}

/** The format of a media type. `resumedAfter` is the last event id of which the service said that it goes on after it. */
export function streamFormat(type: StreamType, resumedAfter: string | null): StreamFormat {
  switch (type) {
    case "application/json":
      return jsonArray;
    case "application/x-ndjson":
      return ndjson;
    case "text/event-stream":
      return serverSentEvents(
        resumedAfter !== null && /^\d{1,15}$/.test(resumedAfter) ? Number(resumedAfter) + 1 : 1,
      );
  }
}
