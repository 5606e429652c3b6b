import assert from "node:assert/strict";
import { settingsOf } from "../../tests/proxy_under_test.ts";
import { loadConfigFromEnv } from "../config/config.ts";
import { systemOf } from "./system.ts";
import { start } from "./serve.ts";

for (const setting of ["LLMPROXY_LISTEN_ADDR", "LLMPROXY_ADMIN_ADDR"]) {
  Deno.test(`start() names ${setting} if its address is taken, and then holds nothing`, async () => {
    const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
    const other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const address = `127.0.0.1:${other.addr.port}`;
    const env = settingsOf("http://127.0.0.1:9", dataDir, { [setting]: address });
    const source = { env: (name: string) => env[name], names: Object.keys(env), readFile: () => assert.fail("no file") };
    const system = { ...systemOf(source), writeLog: () => {} };
    await assert.rejects(start(loadConfigFromEnv(source), system), ({ message }: Error) => {
      assert.ok(message.startsWith(`Cannot listen on ${address}: `), message);
      assert.ok(message.endsWith(`. ${setting} must name a free address of this machine`), message);
      return true;
    });
    other.close();
    const running = await start(loadConfigFromEnv(source), system);
    await running.stop();
    await Deno.remove(dataDir, { recursive: true });
  });
}
