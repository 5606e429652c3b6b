import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type FakeUpstream, startFakeUpstream } from "../fake_upstream.ts";
import { assertExactRows, callAndRead, type SeenAnswer, textOf } from "../metered_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { type ProxyProcess, runCommandLine, startProxyProcess } from "../proxy_process.ts";

const CALLS = 20;

Deno.test("llmproxy backup copies a database that is being written, and from its copy alone a proxy goes on: same answers, same tokens", async () => {
  await using scene = await openScene();
  const { upstream, dir } = scene;
  const backup = `${dir}/backup.db`;
  const before: SeenAnswer[] = [];
  let token = "";
  let usage: unknown;
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir: `${dir}/data` });
    token = await proxy.token("acme", "sb-1");
    await callAll(proxy, token, before);
    usage = await proxy.ask("/internal/usage");
    // Calls go on meanwhile.
    const meanwhile: SeenAnswer[] = [];
    const [{ code, stdout, stderr }] = await Promise.all([
      runCommandLine(["backup", backup], proxy.env),
      callAll(proxy, token, meanwhile),
    ]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^\S+backup\.db: \d+\.\d MB, \d+ calls, checked and sound\n$/);
    assertExactRows(proxy.rows(), [...before, ...meanwhile]);
  }
  assert.equal(Deno.statSync(backup).mode! & 0o777, 0o600);
  assert.deepEqual(namesIn(dir), ["backup.db", "data"]);
  assert.deepEqual(namesIn(`${dir}/data`).filter((name) => name.startsWith("backup")), []);

  // The restore of docs/operations.md.
  for (const name of namesIn(`${dir}/data`).filter((name) => /^(llmproxy|spool-0)\.db/.test(name))) {
    Deno.removeSync(`${dir}/data/${name}`);
  }
  Deno.copyFileSync(backup, `${dir}/data/llmproxy.db`);
  await using restored = await startProxyProcess({ upstreamUrl: upstream.url, dataDir: `${dir}/data` });
  const kept = restored.rows().filter((row) => before.some(({ messageId }) => messageId === row.message_id));
  assertExactRows(kept, before);
  const after: SeenAnswer[] = [];
  await callAll(restored, token, after);
  assert.deepEqual(after.map(({ status }) => status), Array(CALLS).fill(200));
  assert.equal(requestCountOf(usage), CALLS);
  assert.equal(requestCountOf(await restored.ask("/internal/usage")), restored.rows().length);
});

Deno.test("llmproxy backup leaves no file, and the last one as it was, where what comes is cut or is no sound database", async () => {
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const whole = soundDatabase(`${dir}/sound.db`);
  const spoiled = whole.slice().fill(0xff, 4_096, 8_192);
  const empty = new Uint8Array();
  const cases = [
    { bytes: whole.slice(0, 9_000), declared: whole.length, rows: "999", says: /^The backup broke off: / },
    { bytes: spoiled, declared: spoiled.length, rows: "999", says: /^The backup is not sound: / },
    { bytes: whole, declared: whole.length, rows: "1000", says: /^The backup is not sound: it has 999 calls of 1000/ },
    { bytes: whole, declared: whole.length, rows: null, says: /^The backup is not sound: / },
    { bytes: empty, declared: 0, rows: "0", says: /^The backup is not sound: it has no table schema_migrations/ },
  ];
  Deno.writeTextFileSync(`${dir}/backup.db`, "of yesterday");
  for (const { bytes, declared, rows, says } of cases) {
    using server = answerOnce(
      `HTTP/1.1 200 OK\r\ncontent-length: ${declared}\r\n${rows === null ? "" : `x-llmproxy-backup-rows: ${rows}\r\n`}\r\n`,
      bytes,
    );
    const { code, stderr } = await runCommandLine(["backup", `${dir}/backup.db`], {
      LLMPROXY_ADMIN_ADDR: `127.0.0.1:${server.port}`,
      LLMPROXY_ADMIN_TOKEN: "an-admin-token-of-some-length",
    });
    assert.equal(code, 1);
    assert.match(stderr, says);
    assert.equal(Deno.readTextFileSync(`${dir}/backup.db`), "of yesterday");
    assert.deepEqual(namesIn(dir), ["backup.db", "sound.db"]);
  }
  await Deno.remove(dir, { recursive: true });
});

Deno.test("llmproxy backup with a shared database copies the spool, and says that PostgreSQL is backed up with its own tools", async () => {
  await using scene = await openScene();
  await using server = await startPostgres();
  const env = { LLMPROXY_DATABASE_URL: server.url };
  await using proxy = await startProxyProcess({ upstreamUrl: scene.upstream.url, dataDir: `${scene.dir}/data`, env });
  await callAll(proxy, await proxy.token(), []);
  const { code, stderr } = await runCommandLine(["backup", `${scene.dir}/spool.db`], proxy.env);
  assert.equal(code, 0);
  assert.match(stderr, /PostgreSQL .*: back that up with its own tools/);
  const spool = new DatabaseSync(`${scene.dir}/spool.db`, { readOnly: true });
  assert.equal(spool.prepare("SELECT count(*) AS n FROM closed_calls").get()!.n, CALLS);
  spool.close();
});

async function openScene() {
  const upstream: FakeUpstream = await startFakeUpstream();
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  return {
    upstream,
    dir,
    [Symbol.asyncDispose]: async () => {
      await upstream[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

async function callAll(proxy: ProxyProcess, token: string, seen: SeenAnswer[]): Promise<void> {
  for (let n = 0; n < CALLS; n++) seen.push(await callAndRead(proxy.url, { token, text: textOf(n), stream: false }));
}

function requestCountOf(answer: unknown): number {
  const { usage } = answer as { readonly usage: readonly { readonly requestCount: number }[] };
  return usage.reduce((sum, { requestCount }) => sum + requestCount, 0);
}

function namesIn(dir: string): readonly string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
}

function soundDatabase(path: string): Uint8Array<ArrayBuffer> {
  const database = new DatabaseSync(path);
  database.exec(
    "CREATE TABLE schema_migrations (version); CREATE TABLE usage (x TEXT); WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 999) INSERT INTO usage SELECT hex(randomblob(50)) FROM n",
  );
  database.close();
  return Deno.readFileSync(path);
}

/** A server that gives one answer, whole or cut, and ends. */
function answerOnce(head: string, body: Uint8Array) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  void (async () => {
    const connection = await listener.accept();
    await connection.read(new Uint8Array(65_536));
    const writer = connection.writable.getWriter();
    await writer.write(new TextEncoder().encode(head));
    await writer.write(body);
    await writer.close().catch(() => {});
  })();
  return { port: listener.addr.port, [Symbol.dispose]: () => listener.close() };
}
