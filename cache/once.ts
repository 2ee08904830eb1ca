/** A callback that is called the first time only. */
export function once<Args extends readonly unknown[]>(
  callback: (...args: Args) => void,
): (...args: Args) => void {
  let called = false;
  return (...args) => {
    if (called) return;
    called = true;
    callback(...args);
  };
}
