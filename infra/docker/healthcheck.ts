/** Health check of a container: exit status 0 if a GET of the URL in the first argument answers 200, else 1. */
const [url = "http://127.0.0.1:9100/readyz"] = process.argv.slice(2);
try {
  const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
  process.exitCode = response.status === 200 ? 0 : 1;
} catch {
  process.exitCode = 1;
}
