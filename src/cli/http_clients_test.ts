import assert from "node:assert/strict";
import { clientOf } from "./http_clients.ts";

Deno.test("clientOf() takes no proxy and no exception from the environment, and leaves the environment as it was", async () => {
  await using stranger = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("stranger"));
  await using own = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("own"));
  const proxy = `http://127.0.0.1:${stranger.addr.port}`;
  const url = `http://127.0.0.1:${own.addr.port}/`;
  const textBy = async (client: Deno.HttpClient) => {
    using closing = client;
    return await (await fetch(url, { client: closing })).text();
  };
  const settings = { HTTP_PROXY: proxy, http_proxy: proxy, ALL_PROXY: proxy, NO_PROXY: "" };
  await withEnvironment(settings, async () => {
    assert.equal(await textBy(Deno.createHttpClient({})), "stranger", "the runtime reads no variables: clientOf() is not needed");
    assert.equal(await textBy(clientOf({})), "own");
    assert.equal(Deno.env.get("HTTP_PROXY"), proxy);
    assert.equal(Deno.env.get("NO_PROXY"), "");
  });
  await withEnvironment({ NO_PROXY: "127.0.0.1" }, async () => {
    assert.equal(await textBy(clientOf({ proxy: { url: proxy } })), "stranger");
    assert.equal(Deno.env.get("HTTP_PROXY"), undefined);
  });
});

async function withEnvironment(settings: Readonly<Record<string, string>>, act: () => Promise<void>): Promise<void> {
  const names = ["http", "https", "all", "no"].flatMap((name) => [`${name}_proxy`, `${name}_proxy`.toUpperCase()]);
  const before = names.map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const name of names) Deno.env.delete(name);
    for (const [name, text] of Object.entries(settings)) Deno.env.set(name, text);
    await act();
  } finally {
    for (const [name, text] of before) {
      if (text === undefined) Deno.env.delete(name);
      else Deno.env.set(name, text);
    }
  }
}
