import assert from "node:assert/strict";
import { certificates } from "../../tests/tls_upstream.ts";
import { run } from "../../tests/fake_system.ts";
import { directFetch } from "./direct_fetch.ts";

Deno.test("directFetch() goes to the host itself if HTTP_PROXY names another, on IPv4 and by name", async () => {
  await using stranger = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("stranger"));
  await using own = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    return Response.json({
      host: request.headers.get("host"),
      token: request.headers.get("authorization"),
      body: await request.text(),
    });
  });
  const before = Deno.env.get("HTTP_PROXY");
  Deno.env.set("HTTP_PROXY", `http://127.0.0.1:${stranger.addr.port}`);
  try {
    for (const host of [`127.0.0.1:${own.addr.port}`, `localhost:${own.addr.port}`]) {
      const answer = await directFetch(`http://${host}/`, {
        method: "POST",
        headers: { authorization: "Bearer t" },
        body: "hello",
      });
      assert.deepEqual(await answer.json(), { host, token: "Bearer t", body: "hello" });
    }
  } finally {
    if (before === undefined) Deno.env.delete("HTTP_PROXY");
    else Deno.env.set("HTTP_PROXY", before);
  }
});

Deno.test("directFetch() keeps statuses that have no body, and rejects if nothing listens", async () => {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response(null, { status: 204 }));
  const url = `http://127.0.0.1:${server.addr.port}/`;
  assert.equal((await directFetch(url, {})).status, 204);
  await server.shutdown();
  await assert.rejects(directFetch(url, {}), TypeError);
});

Deno.test("LLMPROXY_ADMIN_URL by https needs a certificate that is trusted, and LLMPROXY_CA_FILE names more", async () => {
  const { caPem, key, cert } = await certificates();
  const asked: (string | null)[] = [];
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, key, cert, onListen() {} }, ({ headers }) => {
    asked.push(headers.get("authorization"));
    return Response.json({ tokens: [] });
  });
  const LLMPROXY_ADMIN_TOKEN = "a-token-of-another-machine";
  const env = { LLMPROXY_ADMIN_URL: `https://localhost:${server.addr.port}`, LLMPROXY_ADMIN_TOKEN };
  const unknown = await run(["token", "list"], { env, fetch: directFetch });
  assert.deepEqual([unknown.code, asked], [3, []]);
  assert.match(unknown.stderr, /LLMPROXY_CA_FILE can name certificates to trust/);
  const files = { "/ca.pem": caPem };
  const known = await run(["token", "list"], { env: { ...env, LLMPROXY_CA_FILE: "/ca.pem" }, files, fetch: directFetch });
  assert.deepEqual([known.code, known.stderr, asked], [0, "", [`Bearer ${LLMPROXY_ADMIN_TOKEN}`]]);
});
