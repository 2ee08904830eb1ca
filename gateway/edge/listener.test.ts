import { once } from "node:events";
import { Agent, get, request } from "node:http";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, test } from "vitest";
import { createListener, type EdgeHandler, type Listener, type ListenerOptions } from "./listener.ts";

let listener: Listener | undefined;

afterEach(() => listener?.drain(0));

async function start(
  handler: EdgeHandler,
  options?: ListenerOptions,
): Promise<{ host: string; port: number }> {
  listener = createListener(handler, options);
  const [host = "", port] = (await listener.listen("127.0.0.1:0")).split(":");
  return { host, port: Number(port) };
}

const hello: EdgeHandler = (request, response) => {
  response.end(`${request.httpVersion} ${request.method} ${request.url}`);
};

async function http2Get(session: ClientHttp2Session, path: string): Promise<string> {
  return text(session.request({ ":path": path }));
}

describe("createListener", () => {
  test("serves HTTP/1.1 and HTTP/2 on one port", async () => {
    const { host, port } = await start(hello);
    const session = connectHttp2(`http://${host}:${port}`);
    expect(await http2Get(session, "/a")).toBe("2.0 GET /a");
    expect(await http2Get(session, "/b")).toBe("2.0 GET /b");
    const response = await fetch(`http://${host}:${port}/c`, { method: "POST", body: "x".repeat(100_000) });
    expect(await response.text()).toBe("1.1 POST /c");
    session.close();
  });

  test("recognises a preface that comes byte by byte", async () => {
    const { host, port } = await start(hello);
    const socket = connect({ host, port, noDelay: true });
    const received: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => received.push(chunk));
    await once(socket, "connect");
    for (const byte of "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
      socket.write(byte);
      await new Promise(setImmediate);
    }
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    await expect.poll(() => Buffer.concat(received)[3]).toBe(4); // The server's SETTINGS.
    socket.destroy();
  });

  test("takes several pipelined requests from the first packet", async () => {
    const { host, port } = await start(hello);
    const socket = connect(port, host);
    socket.write("GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    const answer = await text(socket);
    expect(answer).toContain("1.1 GET /1");
    expect(answer).toContain("1.1 GET /2");
  });

  test("cuts off a client that says nothing, and answers 408 to one that never ends its head", async () => {
    const { host, port } = await start(hello, { headTimeoutMs: 50 });
    const silent = connect(port, host);
    const slow = connect(port, host);
    slow.write("GET / HTTP/1.1\r\nhost:");
    await once(silent, "close");
    expect(await text(slow)).toMatch(/^HTTP\/1.1 408 /);
  });

  test("answers 431 to a head that is too long", async () => {
    const { host, port } = await start(hello, { maxHeadBytes: 2000 });
    const response = await fetch(`http://${host}:${port}/`, { headers: { "x-long": "x".repeat(4000) } });
    expect(response.status).toBe(431);
  });

  test("names the address that is taken", async () => {
    const { host, port } = await start(hello);
    await expect(createListener(hello).listen(`${host}:${port}`)).rejects.toThrow(
      `cannot listen on ${host}:${port}: another program listens there`,
    );
  });
});

describe("drain", () => {
  test("lets running calls finish and closes their connections", async () => {
    const running: (() => void)[] = [];
    const { host, port } = await start((_, response) => running.push(() => response.end("done")));
    const agent = new Agent({ keepAlive: true });
    const http1 = new Promise<{ body: string; connection: string | undefined }>((resolve, reject) => {
      get({ host, port, agent }, (response) => {
        text(response).then((body) => resolve({ body, connection: response.headers.connection }), reject);
      });
    });
    const session = connectHttp2(`http://${host}:${port}`);
    const http2 = http2Get(session, "/");
    await expect.poll(() => running.length).toBe(2);

    const goaway = once(session, "goaway");
    const drained = listener!.drain(10_000);
    await goaway;
    await expect(fetch(`http://${host}:${port}/`)).rejects.toThrow();
    for (const finish of running) finish();

    expect(await http2).toBe("done");
    expect((await http1).body).toBe("done");
    await drained;
  });

  test("tells a client of HTTP/1.1 that asks during the drain to go", async () => {
    const running: (() => void)[] = [];
    const { host, port } = await start((_, response) => running.push(() => response.end("done")));
    const socket = connect(port, host);
    socket.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n");
    await once(socket, "connect");
    // The head is not complete, so the connection is neither idle nor known to run a call.
    const drained = listener!.drain(5000);
    socket.write("\r\nx");
    await expect.poll(() => running.length + Number(socket.destroyed)).toBe(1);
    running[0]?.();
    expect(await text(socket)).toMatch(/connection: close/i);
    await drained;
  });

  test("closes idle connections at once", async () => {
    const { host, port } = await start(hello);
    const session = connectHttp2(`http://${host}:${port}`);
    await http2Get(session, "/");
    const socket: Socket = connect(port, host);
    socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await once(socket, "data");
    const gone = [once(session, "close"), once(socket, "close")];
    await listener!.drain(10_000);
    await Promise.all(gone);
  });

  test("cuts off what does not finish in time", async () => {
    const { host, port } = await start(() => {});
    const call = new Promise((resolve) => request({ host, port }).on("error", resolve).end());
    const session = connectHttp2(`http://${host}:${port}`);
    const stream = http2Get(session, "/").catch((error: unknown) => error);
    await once(session, "connect");
    await listener!.drain(30);
    expect(await call).toBeInstanceOf(Error);
    await stream;
  });
});
