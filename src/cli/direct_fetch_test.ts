import assert from "node:assert/strict";
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
