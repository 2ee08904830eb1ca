/** The workflows that the worker offers. Temporal's bundler takes one file. */
export { cancelOrder } from "./cancel-order.ts";
export { createOrder } from "./create-order.ts";
