/** What a client dials. */

/** Either a service that the registry resolves, or one fixed address. */
export type Target = { readonly service: string } | { readonly address: string };

const SCHEME = "heddle:///";

/** A dotted protobuf name with at least one package, such as `shop.order.v1.OrderService`. */
const serviceName = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$/;

const hostAndPort = /^(\[[0-9A-Fa-f:.]+\]|[^\s:/[\]]+):\d{1,5}$/;

/**
 * Reads `heddle:///shop.order.v1.OrderService` or `host:port`.
 *
 * @throws TypeError for anything else.
 */
export function parseTarget(target: string): Target {
  if (target.startsWith(SCHEME)) {
    const service = target.slice(SCHEME.length);
    if (serviceName.test(service)) return { service };
  } else if (hostAndPort.test(target)) {
    return { address: target };
  }
  throw new TypeError(`cannot dial "${target}": expected heddle:///full.service.Name or host:port`);
}
