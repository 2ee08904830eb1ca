/** The shop as a REST client sees it, for tests. */
import { randomUUID } from "node:crypto";

/** A reply of the gateway. */
export interface Answer {
  readonly status: number;
  readonly body: Json;
}

/** A JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** An order's state and why, without prefix. */
export interface Settled {
  readonly state: string;
  readonly reason: string;
}

/** A line of an order. */
export interface Line {
  readonly sku: string;
  readonly quantity: number;
}

/** A shop to order from. */
export interface Shop {
  /** One call; a body makes it a POST unless `method` says otherwise. */
  call(path: string, body?: unknown, options?: CallOptions): Promise<Answer>;
  /** A consumer with an account. Resolves with its id. */
  consumer(options?: { readonly limitCents?: number; readonly balanceCents?: number }): Promise<string>;
  /** Places an order. Resolves with its id. */
  order(consumerId: string, lines: readonly Line[], kitchenId?: string): Promise<string>;
  /** How an order ends that is being created or cancelled. */
  settled(orderId: string): Promise<Settled>;
  /** Stock of a product. */
  product(sku: string): Promise<{ onHand: number; reserved: number; sold: number }>;
  /** Money of an account, in cents. */
  account(accountId: string): Promise<{ balance: number; held: number; captured: number }>;
  /** State of a ticket, without prefix; undefined if there is none. */
  ticket(orderId: string): Promise<string | undefined>;
}

/** Less usual parts of a call. */
export interface CallOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A shop behind the gateway at `url`. */
export function createShop(url: string): Shop {
  const call: Shop["call"] = async (path, body, { method, headers } = {}) => {
    const response = await fetch(`${url}${path}`, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    return { status: response.status, body: (await response.json()) as Json };
  };
  const ok = async (path: string, body?: unknown): Promise<Json> => {
    const answer = await call(path, body);
    if (answer.status === 200) return answer.body;
    throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  };

  return {
    call,
    async consumer({ limitCents = 100_000, balanceCents = 100_000 } = {}) {
      const id = `c-${randomUUID()}`;
      await ok("/v1/consumers", { consumerId: id, name: "Ada", orderLimitCents: limitCents });
      await ok("/v1/accounts", { accountId: id });
      if (balanceCents > 0) await ok(`/v1/accounts/${id}:deposit`, { amountCents: balanceCents });
      return id;
    },
    async order(consumerId, lines, kitchenId = "") {
      return String((await ok("/v1/orders", { consumerId, lines, kitchenId }))["orderId"]);
    },
    async settled(orderId) {
      let last: Settled | undefined;
      for await (const transition of watch(url, orderId)) {
        last = { state: bare(transition["state"]), reason: String(transition["reason"]) };
        if (!last.state.endsWith("_PENDING") && (await isLast(transition["sequence"]))) return last;
      }
      if (last === undefined) throw new Error(`the stream of ${orderId} ended without a word`);
      return last;

      async function isLast(sequence: unknown): Promise<boolean> {
        return (await ok(`/v1/orders/${orderId}`))["sequence"] === sequence;
      }
    },
    async product(sku) {
      const { onHand, reserved, sold } = await ok(`/v1/products/${sku}`);
      return { onHand: Number(onHand), reserved: Number(reserved), sold: Number(sold) };
    },
    async account(accountId) {
      const { balanceCents, heldCents, capturedCents } = await ok(`/v1/accounts/${accountId}`);
      return { balance: Number(balanceCents), held: Number(heldCents), captured: Number(capturedCents) };
    },
    async ticket(orderId) {
      const { status, body } = await call(`/v1/tickets/${orderId}`);
      return status === 404 ? undefined : bare(body["state"]);
    },
  };
}

/** The transitions of an order as they come. */
export async function* watch(url: string, orderId: string, query = ""): AsyncGenerator<Json> {
  const stop = new AbortController();
  try {
    const response = await fetch(`${url}/v1/orders/${orderId}:watch${query}`, {
      headers: { accept: "application/x-ndjson" },
      signal: AbortSignal.any([stop.signal, AbortSignal.timeout(60_000)]),
    });
    if (response.status !== 200) throw new Error(`watch: ${response.status} ${await response.text()}`);
    let text = "";
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (text + chunk).split("\n");
      text = lines.pop()!;
      for (const line of lines) if (line !== "") yield JSON.parse(line) as Json;
    }
  } finally {
    stop.abort();
  }
}

/** The name of an enum value without the prefix of its enum. */
function bare(value: unknown): string {
  return String(value).replace(/^[A-Z]+_STATE_/, "");
}
