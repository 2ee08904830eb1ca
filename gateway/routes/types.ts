/**
 * What the gateway knows of the services behind it: methods, their HTTP routes, and the table that finds a route for a
 * request. All of it is immutable; a change of the mesh makes a new table, which replaces the old one in one step.
 */
import type { DescField, DescMessage, DescMethod, Registry } from "@bufbuild/protobuf";
import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import type { MethodInfo } from "../../mesh/rpc/call.ts";
import type { Caching } from "../policy/response-cache/rules.ts";
import type { Template } from "./template.ts";

/** What instances with one descriptor digest offer, as learned by reflection. */
export interface ServiceDescriptors {
  /** The digest that these instances have in common; names this set. */
  readonly digest: string;
  /** Full names of the services that they offer. Services of the files that are not named here are not served. */
  readonly services: readonly string[];
  /** Files of the services and all that these import, in any order. */
  readonly files: readonly FileDescriptorProto[];
  /** Semantic version of the software. The highest one decides how a method is transcoded. Empty is lowest. */
  readonly version: string;
  /** When the youngest of these instances started, in milliseconds since the Unix epoch: decides between equal versions. */
  readonly startedAtMs: number;
}

/** A method that can be called through the gateway. */
export interface MethodEntry {
  /** The method as the pipeline knows it; the same object for as long as the table lives. */
  readonly info: MethodInfo;
  /** Descriptor of the newest version. */
  readonly desc: DescMethod;
  readonly input: DescMessage;
  readonly output: DescMessage;
  /** Digests of the instances that have this method: the only ones that may be called. Newest version first. */
  readonly digests: readonly string[];
  /** Types of the newest version, and those that every gateway knows; prints `google.protobuf.Any`. */
  readonly registry: Registry;
  /** How it uses the response cache; undefined if it does not. */
  readonly caching: Caching | undefined;
}

/** What one `google.api.HttpRule` says, checked against the method's messages. */
export interface Binding {
  /** HTTP method, such as `GET`, a custom one, or `*` for any. */
  readonly httpMethod: string;
  readonly template: Template;
  /** Which part of the request message is the body: none of it, all of it, or one field. */
  readonly body: "none" | "all" | DescField;
  /** Which field of the response message is the body; undefined for all of it. */
  readonly responseBody: DescField | undefined;
  /** Whether the request body is taken as it is, because it is a `google.api.HttpBody`. */
  readonly rawRequest: boolean;
  /** Whether the response body is sent as it is, because it is a `google.api.HttpBody`. Then use `encodeReply` for streams too. */
  readonly rawReply: boolean;
}

/** One HTTP method and path template, and the gRPC method it leads to. */
export interface Route {
  readonly method: MethodEntry;
  readonly binding: Binding;
  /** Makes the request message; compiled once, called by `encodeRequest`. */
  readonly requestEncoder: RequestEncoder;
  /** Prints the response message; compiled once, called by `encodeReply` and `encodeStreamElement`. */
  readonly replyEncoder: ReplyEncoder;
}

/** Makes an encoded request message of the values of a template's variables and the rest of a request. */
export type RequestEncoder = (
  variables: Match["variables"],
  request: HttpRequest,
  options: RequestOptions,
) => Uint8Array;

/** Prints an encoded response message, or the field of it that is the body. */
export type ReplyEncoder = (message: Uint8Array) => EncodedReply;

/** A request that found its route. */
export interface Match {
  readonly route: Route;
  /** Values of the template's variables, in its order, decoded once. Undefined: the percent-encoding is broken. */
  readonly variables: readonly (string | undefined)[];
}

/** No route has the path. */
export interface NotFound {
  readonly notFound: true;
}

/** Routes have the path, but with other HTTP methods. */
export interface Disallowed {
  /** The value of `Allow`, sorted: every method that would be answered, with OPTIONS, and HEAD where there is GET. */
  readonly allow: readonly string[];
}

/** All methods and routes of the mesh, at one moment. */
export interface RouteTable {
  /**
   * Finds the route of a request.
   * @param httpMethod As sent; HEAD finds what GET finds unless a route says HEAD. OPTIONS is Disallowed unless a route
   * says OPTIONS or `*`: answer it with `allow`.
   * @param path The raw path as it came, still percent-encoded, without the query.
   */
  match(httpMethod: string, path: string): Match | NotFound | Disallowed;
  /** Every route, in a stable order. */
  readonly routes: readonly Route[];
  /** Methods by gRPC path, such as `/shop.order.v1.OrderService/GetOrder`; also those without a route. */
  readonly methods: ReadonlyMap<string, MethodEntry>;
  /** Full names of all services, sorted. */
  readonly services: readonly string[];
  /** Files of all services, the newest version of each first; for reflection of the whole mesh. */
  readonly files: readonly FileDescriptorProto[];
  /** All types of the mesh, newest version, and those of google.rpc and google.protobuf; for `statusBody`. */
  readonly registry: Registry;
}

/** Why a service or one of its routes is not served. */
export interface RouteProblem {
  /** Digest of the set that it is about. */
  readonly digest: string;
  /** Full name of the service. */
  readonly service: string;
  /** Name of the method; undefined if the whole service is affected. */
  readonly method: string | undefined;
  /** What is wrong, for people. */
  readonly message: string;
}

/** A request after routing. */
export interface HttpRequest {
  /** The raw query, without the question mark; empty if there is none. */
  readonly query: string;
  /** Value of `Content-Type`; undefined if there is none. */
  readonly contentType: string | undefined;
  /** The body; undefined or empty if there is none. */
  readonly body: Uint8Array | undefined;
}

/** How strict a request is read. */
export interface RequestOptions {
  /** Ignore query parameters and body fields that the request message does not have, instead of refusing them. Default false. */
  readonly ignoreUnknownFields?: boolean;
}

/** A whole reply, ready to be sent. */
export interface EncodedReply {
  readonly contentType: string;
  readonly body: Uint8Array | string;
}

/** A failed call, ready to be sent. */
export interface EncodedStatus {
  readonly httpStatus: number;
  /** JSON text of a `google.rpc.Status`. */
  readonly json: string;
}
