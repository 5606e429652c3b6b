/**
 * Starts the proxy in front of an upstream that speaks the provider named by the first argument,
 * and makes one call to it and one refused one. Prints what the clients saw and the row, as JSON.
 */
import { type Config, loadConfigFromEnv } from "../../src/config/config.ts";
import { start } from "../../src/server/serve.ts";
import { systemOf } from "../../src/server/system.ts";
import { adminOf, closedRows, settingsOf } from "../proxy_under_test.ts";

const upstream = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
  const { engine } = await request.json();
  return Response.json({ engine: `${engine}-served`, units: 42 }, { headers: { "dummy-id": "up-1" } });
});
const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-dummy-" });
const env = settingsOf(`http://127.0.0.1:${upstream.addr.port}`, dataDir);
const source = {
  env: (name: string) => env[name],
  names: Object.keys(env),
  readFile: (path: string) => Deno.readTextFileSync(path),
};
const config = loadConfigFromEnv(source);
const named: Config = {
  ...config,
  upstreams: config.upstreams.map((upstream) => ({ ...upstream, dialect: Deno.args[0]!, seller: Deno.args[0]! })),
};
const running = await start(named, { ...systemOf(source), writeLog: () => {} });
const token = await adminOf(`http://127.0.0.1:${running.adminAddress.port}`, running.adminToken()).token();

async function call(path: string, authorization: string) {
  const url = `http://127.0.0.1:${running.proxyAddress.port}${path}`;
  const answer = await fetch(url, { method: "POST", headers: { authorization }, body: '{"engine":"one","prompt":"hi"}' });
  return { status: answer.status, text: await answer.text(), requestId: answer.headers.get("x-llmproxy-request-id") };
}

const billed = await call("/dummy/answers", `Bearer ${token}`);
const refused = await call("/v1/messages", `Bearer ${token}`);
const rows = await closedRows(dataDir, 1);
await running.stop();
await upstream.shutdown();
await Deno.remove(dataDir, { recursive: true });
console.log(JSON.stringify({ billed, refused, rows }));
