import { defineConfig } from "vitest/config";

const source = ["mesh", "gateway", "cache", "services", "workflows", "infra", "bench"];

// The three kinds of test. Unit tests lie beside their source and need no server; the other two start real ones.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: [...source.map((folder) => `${folder}/**/*.test.ts`), "test/unit/**/*.test.ts"],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          globalSetup: "test/integration/setup.ts",
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "chaos",
          include: ["test/chaos/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
