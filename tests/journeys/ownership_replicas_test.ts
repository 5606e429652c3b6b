import assert from "node:assert/strict";
import { fakeThings } from "../fake_things.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { startPostgres } from "../postgres_server.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { waitFor } from "../wait.ts";

const FILES = "/v1/files";
/** A server that was stopped takes a while to be back, and a replica to notice. */
const BACK_MS = 30_000;

Deno.test("what one replica lets make, the next one knows the owner of at once, and PostgreSQL being away is 503, never 404", async () => {
  await using postgres = await startPostgres({ own: true });
  await using upstream = await startFakeUpstream();
  upstream.answer(fakeThings().answer);
  const env = { LLMPROXY_DATABASE_URL: postgres.url, ANTHROPIC_BASE_URL: upstream.url };
  await using first = await startProxy({ env });
  await using second = await startProxy({ env });
  const [ours, theirs] = [await first.token("w1"), await first.token("w2")];

  const early = await Promise.all(Array.from({ length: 20 }, () => made(first, ours)));
  for (const id of early) {
    assert.deepEqual([await statusAt(second, id, ours), await statusAt(second, id, theirs)], [200, 404], id);
  }
  const unseen = await made(first, ours);
  assert.equal(await statusAt(first, unseen, ours), 200);
  // Both replicas have used both tokens by now, so that they know them without PostgreSQL.
  await statusAt(first, unseen, theirs);

  await postgres.stop();
  assert.deepEqual([await statusAt(first, unseen, ours), await statusAt(first, unseen, theirs)], [200, 404]);
  assert.deepEqual([await statusAt(second, early[0]!, ours), await statusAt(second, early[0]!, theirs)], [200, 404]);
  const answer = await read(second, unseen, ours);
  assert.deepEqual([answer.status, answer.headers.get("retry-after"), (await answer.json()).error.type], [503, "5", "api_error"]);
  const late = await made(first, ours);
  assert.deepEqual([await statusAt(first, late, ours), await statusAt(first, late, theirs)], [200, 404]);
  assert.equal(await statusAt(second, late, ours), 503);

  await postgres.start();
  await waitFor(async () => await statusAt(second, late, ours) === 200, { what: "the claim to be shipped", deadlineMs: BACK_MS });
  assert.equal(await statusAt(second, late, theirs), 404);
  assert.equal(await statusAt(second, unseen, ours), 200);
});

Deno.test("owners outlive the process that learned of them", async () => {
  const dataDir = await Deno.makeTempDir();
  await using upstream = await startFakeUpstream();
  upstream.answer(fakeThings().answer);
  const options = { dataDir, env: { ANTHROPIC_BASE_URL: upstream.url } };
  const known = { ours: "", theirs: "", id: "" };
  {
    await using proxy = await startProxy(options);
    Object.assign(known, { ours: await proxy.token("w1"), theirs: await proxy.token("w2") });
    known.id = await made(proxy, known.ours);
  }
  await using proxy = await startProxy(options);
  assert.deepEqual([await statusAt(proxy, known.id, known.ours), await statusAt(proxy, known.id, known.theirs)], [200, 404]);
  await Deno.remove(dataDir, { recursive: true });
});

async function made(proxy: ProxyUnderTest, token: string): Promise<string> {
  const answer = await fetch(proxy.url + FILES, { method: "POST", headers: { "x-api-key": token }, body: "a file" });
  assert.equal(answer.status, 200);
  return (await answer.json()).id;
}

function read(proxy: ProxyUnderTest, id: string, token: string): Promise<Response> {
  return fetch(`${proxy.url}${FILES}/${id}/content`, { headers: { "x-api-key": token } });
}

async function statusAt(proxy: ProxyUnderTest, id: string, token: string): Promise<number> {
  const answer = await read(proxy, id, token);
  await answer.body?.cancel();
  return answer.status;
}
