/** The calls that are printed for a newcomer: they work when pasted, in this order, as often as one likes. */

/** Sample calls against a gateway at `address`, for a consumer that does not exist yet. */
export function sampleCalls(address: string, consumerId: string): readonly string[] {
  return [
    `curl -s ${address}/v1/products`,
    `curl -s ${address}/v1/consumers --json '{"consumerId": "${consumerId}", "name": "Ada"}'`,
    `curl -s ${address}/v1/accounts --json '{"accountId": "${consumerId}"}'`,
    `curl -s ${address}/v1/accounts/${consumerId}:deposit --json '{"amountCents": 5000}'`,
    `curl -s ${address}/v1/orders --json '{"consumerId": "${consumerId}", "lines": [{"sku": "margherita", "quantity": 2}]}'`,
    `curl -s "${address}/v1/orders?consumerId=${consumerId}"`,
    `grpcurl -plaintext ${address} list`,
  ];
}
