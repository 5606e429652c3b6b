/**
 * A proxy in a Worker, whose event loop has nothing else to do, and what that loop's longest turn
 * was.
 */
import { settingsOf } from "./proxy_under_test.ts";

export interface WatchedProxy extends AsyncDisposable {
  readonly url: string;
  readonly token: string;
  /**
   * The longest turn of the event loop since this was last asked, milliseconds, without what other
   * threads took of it.
   */
  readonly longestTurn: () => Promise<number>;
}

export type Ask = Readonly<Record<string, string>> | "longest turn" | "stop";
export type Reply = { readonly url: string; readonly token: string } | number | "stopped";

export async function startWatchedProxy(upstreamUrl: string): Promise<WatchedProxy> {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const worker = new Worker(new URL("./watched_proxy_worker.ts", import.meta.url), { type: "module" });
  function ask(message: Ask): Promise<Reply> {
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<Reply>) => resolve(data);
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage(message);
    });
  }
  const { url, token } = await ask(settingsOf(upstreamUrl, dataDir)) as Exclude<Reply, number | string>;
  return {
    url,
    token,
    longestTurn: async () => await ask("longest turn") as number,
    [Symbol.asyncDispose]: async () => {
      await ask("stop");
      worker.terminate();
      await Deno.remove(dataDir, { recursive: true });
    },
  };
}
