import assert from "node:assert/strict";
import { startRelayingProxy, startSocksProxy } from "../../tests/relaying_proxy.ts";
import { startTlsUpstream } from "../../tests/tls_upstream.ts";
import { parseProxy } from "../wire/forward_proxy.ts";
import { clientOf, httpClients } from "./http_clients.ts";

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

Deno.test("httpClients() tunnels https through an http proxy, which sees its own password and no key", async () => {
  await using upstream = await startTlsUpstream({ deltas: 1, durationMs: 1 });
  await using relay = await startRelayingProxy();
  const https = parseProxy(`http://user:p%40ss@${relay.host}`);
  const clients = httpClients({ http2: false, caCerts: [upstream.caPem] }, { http: null, https, direct: [] });
  try {
    const answer = await clients.fetch(`${upstream.url}/v1/messages`, {
      method: "POST",
      headers: { "x-api-key": "real-key" },
      body: "{}",
    });
    assert.equal(answer.status, 200);
    await answer.text();
    const [tunnel] = relay.relayed;
    assert.deepEqual([relay.relayed.length, tunnel!.method, tunnel!.url], [1, "CONNECT", new URL(upstream.url).host]);
    assert.equal(tunnel!.headers["proxy-authorization"], `Basic ${btoa("user:p@ss")}`);
    assert.ok(!JSON.stringify(relay.relayed).includes("real-key"));
  } finally {
    clients.close();
  }
});

Deno.test("httpClients() asks a SOCKS proxy with its password", async () => {
  await using own = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("own"));
  await using socks = await startSocksProxy();
  for (const scheme of ["socks5", "socks5h"]) {
    const http = parseProxy(`${scheme}://user:p%3Aw@${socks.host}`);
    const clients = httpClients({ http2: false }, { http, https: null, direct: [] });
    try {
      assert.equal(await (await clients.fetch(`http://localhost:${own.addr.port}/`, {})).text(), "own");
    } finally {
      clients.close();
    }
  }
  assert.deepEqual(socks.asked, Array(2).fill(`user:p:w@localhost:${own.addr.port}`));
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
