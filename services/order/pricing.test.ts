import type { ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { BadRequestSchema } from "../../gen/ts/google/rpc/error_details_pb.ts";
import { MAX_TOTAL_CENTS, priceLines, type WantedLine } from "./pricing.ts";

const products = [
  { sku: "margherita", priceCents: 890n },
  { sku: "cola", priceCents: 290n },
  { sku: "yacht", priceCents: 1_000_000n },
];

function violations(lines: WantedLine[]): string[] {
  try {
    priceLines(lines, products);
  } catch (error) {
    const [details] = (error as ConnectError).findDetails(BadRequestSchema);
    return details!.fieldViolations.map(({ field, description }) => `${field}: ${description}`);
  }
  return [];
}

describe("priceLines", () => {
  test("adds up the lines at today's prices", () => {
    const wanted = [
      { sku: "margherita", quantity: 2 },
      { sku: "cola", quantity: 3 },
    ];
    expect(priceLines(wanted, products)).toEqual({
      lines: [
        { sku: "margherita", quantity: 2, priceCents: 890n },
        { sku: "cola", quantity: 3, priceCents: 290n },
      ],
      totalCents: 2650n,
    });
  });

  test("names every line that is wrong", () => {
    expect(
      violations([
        { sku: "margherita", quantity: 1 },
        { sku: "dragon", quantity: 1 },
        { sku: "margherita", quantity: 1 },
      ]),
    ).toEqual([
      'lines[1].sku: there is no product "dragon"',
      'lines[2].sku: "margherita" stands in lines[0] already; add up their quantities',
    ]);
  });

  test("takes a total of the maximum and refuses more", () => {
    expect(violations([{ sku: "yacht", quantity: 1000 }])).toEqual([]);
    const more = violations([
      { sku: "yacht", quantity: 1000 },
      { sku: "cola", quantity: 1 },
    ]);
    expect(more).toEqual([`lines: the total of ${MAX_TOTAL_CENTS + 290n} cents is above ${MAX_TOTAL_CENTS}`]);
  });
});
