/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { loadConfigFromEnv } from "../src/config/config.ts";
import { systemOf } from "../src/server/system.ts";
import { start } from "../src/server/serve.ts";
import { HURRIED } from "./hurried_pace.ts";
import { adminOf } from "./proxy_under_test.ts";
import type { Ask, Reply } from "./watched_proxy.ts";

self.onmessage = async ({ data }: MessageEvent<Readonly<Record<string, string>>>) => {
  const source = {
    env: (name: string) => data[name],
    names: Object.keys(data),
    readFile: (path: string) => Deno.readTextFileSync(path),
  };
  const running = await start(loadConfigFromEnv(source), { ...systemOf(source), batchPace: HURRIED, writeLog: () => {} });
  const admin = adminOf(`http://127.0.0.1:${running.adminAddress.port}`, running.adminToken());
  const token = await admin.token();
  let [longest, turnedAt, keptOffMs] = [0, performance.now(), keptOff()];
  const timer = setInterval(() => {
    const [at, off] = [performance.now(), keptOff()];
    longest = Math.max(longest, at - turnedAt - (off - keptOffMs));
    [turnedAt, keptOffMs] = [at, off];
  }, 0);
  self.onmessage = async ({ data }: MessageEvent<Ask>) => {
    if (data === "stop") {
      clearInterval(timer);
      await running.stop();
      return reply("stopped");
    }
    reply(longest);
    longest = 0;
  };
  reply({ url: `http://127.0.0.1:${running.proxyAddress.port}`, token });
};

/**
 * For how long this thread could have run while others had its processor, milliseconds; 0 where the
 * system does not tell (only Linux does).
 */
function keptOff(): number {
  try {
    return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[1]) / 1e6;
  } catch {
    return 0;
  }
}

function reply(message: Reply): void {
  self.postMessage(message);
}
