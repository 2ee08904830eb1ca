import { expect, test } from "vitest";
import { RegistryService } from "../../gen/ts/heddle/registry/v1/registry_pb.ts";
import { Health } from "../../gen/ts/grpc/health/v1/health_pb.ts";
import { descriptorDigest } from "./digest.ts";

test("is 64 hex digits, and the same for the same API", () => {
  expect(descriptorDigest([RegistryService])).toMatch(/^[0-9a-f]{64}$/);
  expect(descriptorDigest([RegistryService, Health])).toBe(descriptorDigest([Health, RegistryService]));
  expect(descriptorDigest([Health, Health])).toBe(descriptorDigest([Health]));
});

test("differs for another API", () => {
  expect(descriptorDigest([Health])).not.toBe(descriptorDigest([RegistryService]));
  expect(descriptorDigest([Health])).not.toBe(descriptorDigest([Health, RegistryService]));
});
