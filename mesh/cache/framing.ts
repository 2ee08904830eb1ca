/** gRPC messages on an HTTP/2 stream: one byte of flags, four of length, then the message. */

/** Bytes before each message. */
export const FRAME_HEADER_BYTES = 5;

/** Fills in the header before a message that begins at `FRAME_HEADER_BYTES`. */
export function writeFrameHeader(frame: Buffer): void {
  frame[0] = 0;
  frame.writeUInt32BE(frame.length - FRAME_HEADER_BYTES, 1);
}

/**
 * Cuts a stream of chunks into messages. A message within one chunk is handed out as a view; another one is put together
 * in a buffer that is made once. The returned function throws RangeError for a message that is too long or compressed.
 */
export function createDeframer(
  maxBytes: number,
  onMessage: (message: Buffer) => void,
): (chunk: Buffer) => void {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  let headerBytes = 0;
  let message: Buffer | undefined;
  let filled = 0;

  function begin(): void {
    headerBytes = 0;
    const length = header.readUInt32BE(1);
    if (header[0] !== 0) throw new RangeError("the message is compressed; send it as it is");
    if (length > maxBytes) throw new RangeError(`the message has ${length} bytes; the most are ${maxBytes}`);
    message = Buffer.allocUnsafe(length);
    filled = 0;
  }

  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (message === undefined) {
        const taken = Math.min(FRAME_HEADER_BYTES - headerBytes, chunk.length - at);
        chunk.copy(header, headerBytes, at, at + taken);
        headerBytes += taken;
        at += taken;
        if (headerBytes < FRAME_HEADER_BYTES) return;
        const length = header.readUInt32BE(1);
        if (header[0] === 0 && length <= maxBytes && at + length <= chunk.length) {
          headerBytes = 0;
          onMessage(chunk.subarray(at, at + length));
          at += length;
          continue;
        }
        begin();
      }
      const target = message as Buffer;
      const taken = Math.min(target.length - filled, chunk.length - at);
      chunk.copy(target, filled, at, at + taken);
      filled += taken;
      at += taken;
      if (filled < target.length) return;
      message = undefined;
      onMessage(target);
    }
  };
}
