/**
 * A program of its own: downloads the Temporal command line with the SDK's own downloader into the folder given as its
 * argument. Apart from the rest because the SDK loads a native library and also starts the server once.
 */
import { TestWorkflowEnvironment } from "@temporalio/testing";

const downloadDir = process.argv[2];
if (downloadDir === undefined) throw new TypeError("usage: temporal-download.ts FOLDER");
const executable = { type: "cached-download" as const, version: "v1.9.1", downloadDir };
const environment = await TestWorkflowEnvironment.createLocal({ server: { executable } });
await environment.teardown();
