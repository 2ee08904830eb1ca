import { Metadata as GrpcMetadata } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { fromGrpcMetadata, toGrpcMetadata } from "./grpc-metadata.ts";

test("text and binary values survive the way there and back", () => {
  const headers = new Headers({ "x-color": "blue", "x-raw-bin": "/wAB" });
  headers.append("x-color", "red");
  headers.append("x-raw-bin", "AAEC");
  const metadata = toGrpcMetadata(headers);
  expect(metadata.get("x-raw-bin")).toEqual([Buffer.of(255, 0, 1), Buffer.of(0, 1, 2)]);
  expect([...fromGrpcMetadata(metadata)]).toEqual([...headers]);
});

test("headers of the hop and of gRPC itself are not copied on", () => {
  const headers = new Headers({ "user-agent": "x", te: "trailers", "grpc-timeout": "1S", "x-kept": "1" });
  expect(toGrpcMetadata(headers).getMap()).toEqual({ "x-kept": "1" });
});

test("the status is not part of the metadata", () => {
  const metadata = new GrpcMetadata();
  metadata.set("grpc-status-details-bin", Buffer.of(1));
  metadata.set("content-type", "application/grpc");
  metadata.set("x-kept", "1");
  expect([...fromGrpcMetadata(metadata)]).toEqual([["x-kept", "1"]]);
});
