/** The argument of every order workflow. */

/**
 * A `shop.order.v1.Order` in ProtoJSON, as the order service wrote it to its outbox. Workflows hand it on unread: activities
 * decode it, so that the sandbox needs no protobuf.
 */
export interface OrderJson {
  readonly orderId: string;
}
