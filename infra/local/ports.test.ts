import { createServer, type AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { assignPorts, occupiedPorts } from "./ports.ts";
import { usedPorts } from "./topology.ts";

test("takes the defaults where nothing is configured", () => {
  expect(assignPorts({})).toMatchObject({ problems: [], ports: { gateway: 8080, mysql_3: 3313 } });
});

test("refuses unknown names and ports given twice", () => {
  const { problems } = assignPorts({ gatewya: 1, control: 8080 });
  expect(problems).toHaveLength(2);
  expect(problems[0]).toMatch(/^local\.ports\.gatewya: unknown port name; known: gateway, /);
  expect(problems[1]).toMatch(/8080 is the port of gateway too/);
});

test("names an occupied port with the key that moves it", async () => {
  const holder = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => holder.once("listening", resolve));
  const { ports } = assignPorts({ gateway: (holder.address() as AddressInfo).port });
  const problems = await occupiedPorts(ports, ["gateway"]);
  holder.close();
  expect(problems).toEqual([
    `port ${ports.gateway} of gateway is in use: stop what holds it, ` +
      "or set local.ports.gateway (HEDDLE__LOCAL__PORTS__GATEWAY=NNNN)",
  ]);
});

test("the small profile listens on the first port of each kind only", () => {
  const names = usedPorts("small", assignPorts({}).ports);
  expect(names).toContain("order_admin");
  expect(names).toContain("mysql");
  expect(names.filter((name) => name.includes("2") || name.includes("3"))).toEqual([]);
});
