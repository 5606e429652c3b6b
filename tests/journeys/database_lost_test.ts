import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { eventStream, heldBefore, messageTo } from "../fake_answers.ts";
import { messageEvents } from "../fake_messages.ts";
import { type FakeUpstream, startFakeUpstream } from "../fake_upstream.ts";
import { assertExactRows, callAndRead, textOf } from "../metered_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { metricOf, readinessOf } from "../process_metrics.ts";
import { runCommandLine, startProxyProcess } from "../proxy_process.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { arrivedRows } from "../shared_rows.ts";
import { gate, waitFor } from "../wait.ts";

const NOTICED_MS = 5_000;

/** By a shell: a descriptor of this process that is closed would drop the proxy's locks. */
const LOSSES = [
  { what: "its files are removed", does: "rm llmproxy.db*", says: /removed or replaced/ },
  { what: "another database takes its place", does: "cp llmproxy.db new.db; mv new.db llmproxy.db", says: /removed or replaced/ },
  { what: "its file is emptied", does: ": > llmproxy.db", says: /cut short or overwritten/ },
  { what: "its directory is moved", does: "mv $PWD $PWD.moved", says: /removed or replaced/ },
  { what: "its log is removed", does: "rm llmproxy.db-wal", says: /removed or replaced/ },
  { what: "its spool is removed", does: "rm spool-0.db*", says: /removed or replaced/ },
  { what: "another spool takes its place", does: "cp spool-0.db new.db; mv new.db spool-0.db", says: /removed or replaced/ },
  { what: "the spool's log is removed", does: "rm spool-0.db-wal", says: /removed or replaced/ },
];

Deno.test("the proxy refuses calls and breaks running ones off within 5 s of the loss of its files, however they are lost", async () => {
  // All at once: each waits for the next look at its files.
  const ends = await Promise.allSettled(LOSSES.map(losesItsFiles));
  const failures = ends.flatMap((end, n) => end.status === "rejected" ? [`${LOSSES[n]!.what}: ${end.reason}`] : []);
  assert.deepEqual(failures, []);
});

async function losesItsFiles({ does, says }: typeof LOSSES[number]): Promise<void> {
  const parent = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  {
    await using proxy = await startProxy({ dataDir: `${parent}/data` });
    const token = await proxy.token();
    assert.equal((await callAndRead(proxy.url, { token, text: "before" })).error, null);
    const running = await heldCall(proxy, token);
    await shell(does, proxy.dataDir);

    const { reason } = await noticed(proxy);
    assert.match(reason, says);
    assert.match(reason, /Stop it, put the files back from a backup \(or start with an empty directory\), start it again/);
    const refused = await callAndRead(proxy.url, { token, text: "after" });
    assert.equal(refused.status, 503);
    assert.equal(await metricOf(proxy, "llmproxy_ledger_trouble"), 1);
    const told = proxy.logs.map((line) => JSON.parse(line)).filter(({ trouble }) => trouble !== undefined);
    assert.deepEqual(told.map(({ level, trouble }) => [level, trouble]), [["error", reason]]);

    running.goOn();
    const broken = await running.answer;
    assert.ok(broken.error !== null && !broken.isWhole, "an answer whose row is lost ended tidily");
    assert.equal((await readinessOf(proxy)).code, 503);
  }
  await Deno.remove(parent, { recursive: true });
}

Deno.test("llmproxy backup saves what the proxy still holds after its files are removed, and from it a proxy goes on", async () => {
  await using upstream: FakeUpstream = await startFakeUpstream();
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const [dataDir, backup] = [`${dir}/data`, `${dir}/backup.db`];
  const answers = [];
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
    const token = await proxy.token();
    for (let n = 0; n < 5; n++) answers.push(await callAndRead(proxy.url, { token, text: textOf(n) }));
    await shell("rm llmproxy.db* spool-0.db*", dataDir);
    const { code, stdout, stderr } = await runCommandLine(["backup", backup], proxy.env);
    assert.equal(code, 1);
    assert.match(stdout, /MB, 5 calls, checked and sound\n$/);
    assert.match(stderr, /^The database's files were removed or replaced .* put this file in their place/);
    // Nothing was opened by the path, which would have made an empty database there.
    assert.deepEqual([...Deno.readDirSync(dataDir)].map(({ name }) => name).sort(), ["lock"]);
    const headers = { authorization: `Bearer ${proxy.env.LLMPROXY_ADMIN_TOKEN}` };
    for (const [method, path] of [["GET", "export?format=csv"], ["POST", "reprice?since=2026-01-01T00:00:00Z"]] as const) {
      const answer = await fetch(`${proxy.adminUrl}/internal/${path}`, { method, headers });
      assert.equal(answer.status, 503, `${path}: ${await answer.text()}`);
    }
  }
  await Deno.rename(backup, `${dataDir}/llmproxy.db`);
  await using restored = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
  assertExactRows(restored.rows(), answers);
  await Deno.remove(dir, { recursive: true }).catch(() => {});
});

Deno.test("a spool whose files are removed is noticed, and what it still holds arrives in the shared database", async () => {
  await using postgres = await startPostgres();
  await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: postgres.url, LLMPROXY_SPOOL_FULL: "serve" } });
  const token = await proxy.token();
  const running = await heldCall(proxy, token);
  await shell("rm spool-0.db*", proxy.dataDir);
  await noticed(proxy);
  assert.equal((await callAndRead(proxy.url, { token, text: "after" })).status, 503);
  running.goOn();
  assert.notEqual((await running.answer).error, null);
  const [row] = await arrivedRows(postgres, { count: 1 });
  assert.deepEqual([row?.outcome, row?.accuracy], ["completed", "exact"]);
});

Deno.test("a proxy that writes, is backed up and is looked into by others does not take its database for lost", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  const until = performance.now() + 1_500;
  for (let n = 0; performance.now() < until; n++) {
    assert.equal((await callAndRead(proxy.url, { token, text: textOf(n % 50), stream: false })).status, 200);
    if (n % 20 !== 0) continue;
    const other = new DatabaseSync(`${proxy.dataDir}/llmproxy.db`, { timeout: 5_000 });
    other.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    other.close();
    const backup = await fetch(`${proxy.adminUrl}/internal/backup`, {
      method: "POST",
      headers: { authorization: `Bearer ${proxy.adminToken}` },
    });
    assert.equal(backup.status, 200);
    await backup.body?.cancel();
  }
  assert.deepEqual([(await readinessOf(proxy)).status, proxy.logs.filter((line) => line.includes("trouble"))], ["ok", []]);
});

/** A call whose answer has started and waits before its last event. */
async function heldCall(proxy: ProxyUnderTest, token: string) {
  const held = gate();
  proxy.upstream.answer((call) => {
    const events = messageEvents(messageTo(call));
    return eventStream(heldBefore(events, { number: events.length - 1, until: held.passed }));
  });
  let text = "";
  const answer = callAndRead(proxy.url, { token, text: "running", onText: (all) => text = all });
  await waitFor(() => text.includes("content_block_delta"), { what: "the answer's beginning" });
  return { answer, goOn: () => held.open() };
}

function noticed(proxy: ProxyUnderTest) {
  return waitFor(async () => {
    const readiness = await readinessOf(proxy);
    return readiness.code === 503 && readiness.status === "unavailable" && readiness;
  }, { what: "/readyz to tell of the loss", deadlineMs: NOTICED_MS });
}

async function shell(script: string, cwd: string): Promise<void> {
  const { code, stderr } = await new Deno.Command("sh", { args: ["-c", script], cwd, stderr: "piped" }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
}
