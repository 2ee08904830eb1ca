import { defineConfig } from "vitest/config";

// A test waits for what it expects; only a broken promise makes it wait this long.
const expectations = { poll: { timeout: 15_000, interval: 10 } };

const source = ["mesh", "gateway", "cache", "services", "workflows", "infra", "bench"];

// The three kinds of test. Unit tests lie beside their source and need no server; the other two start real ones.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: [...source.map((folder) => `${folder}/**/*.test.ts`), "test/unit/**/*.test.ts"],
          expect: expectations,
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          globalSetup: "test/integration/setup.ts",
          fileParallelism: false,
          expect: expectations,
          testTimeout: 60_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "chaos",
          include: ["test/chaos/**/*.test.ts"],
          fileParallelism: false,
          expect: expectations,
          testTimeout: 600_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
