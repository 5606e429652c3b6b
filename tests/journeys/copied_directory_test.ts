/** Replicas whose data directories are copies of one: a machine image, a volume's snapshot. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { startPostgres } from "../postgres_server.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { sharedRows } from "../shared_rows.ts";
import { waitFor } from "../wait.ts";

const MINUTE = Date.UTC(2026, 10, 28, 11, 59);

const postgres = await startPostgres();
Deno.test.afterAll(async () => await postgres[Symbol.asyncDispose]());

Deno.test("replicas that were started from one image count their refusals side by side, through restarts and repeated shipments", async () => {
  await using dirs = makeDirs();
  const url = await postgres.newDatabase();
  const start = (dataDir: string) => startProxy({ env: { LLMPROXY_DATABASE_URL: url }, dataDir, system: { now: () => MINUTE } });
  /** The counters, one for each run. */
  const shared = async () => {
    const rows = await postgres.psql("SELECT count FROM refusals ORDER BY count", url);
    return rows.map(({ count }) => Number(count));
  };
  {
    await using first = await start(dirs.original);
    await refuse(first, 2);
  }
  for (const copy of dirs.copies) imageOf(dirs.original, copy);
  {
    const [one, other] = await Promise.all(dirs.copies.map(start));
    await Promise.all([refuse(one!, 3), refuse(other!, 5)]);
    await Promise.all([one!, other!].map((proxy) => proxy[Symbol.asyncDispose]()));
  }
  assert.deepEqual(await shared(), [2, 3, 5]);
  {
    await using again = await start(dirs.copies[0]!);
    await refuse(again, 1);
    const answer = await fetch(`${again.adminUrl}/internal/reship?since=2026-01-01T00:00:00Z`, {
      method: "POST",
      headers: { authorization: `Bearer ${again.adminToken}` },
    });
    assert.equal(answer.status, 200);
    await answer.body?.cancel();
    await waitFor(() => unshippedRefusals(again.dataDir) === 0, { what: "the counters to be sent again" });
  }
  assert.deepEqual(await shared(), [1, 2, 3, 5]);
  await using last = await start(dirs.copies[1]!);
  const { refusals } = await last.ask("/internal/refusals") as { readonly refusals: readonly Record<string, unknown>[] };
  assert.deepEqual(refusals.map(({ fault, count }) => [fault, count]), [["path_unknown", 11]]);
});

Deno.test("a call that was open when its replica's directory was copied ends as its own replica says, not as the copy's sweep", async () => {
  await using dirs = makeDirs();
  const url = await postgres.newDatabase();
  const env = { LLMPROXY_DATABASE_URL: url };
  await using proxy = await startProxy({ env, dataDir: dirs.original });
  proxy.upstream.answer("stall");
  const leaving = new AbortController();
  const call = fetch(`${proxy.url}/v1/messages`, messageCall(await proxy.token(), { stream: true, signal: leaving.signal }));
  call.catch(() => {});
  await waitFor(() => proxy.upstream.calls.length === 1, { what: "the call to be upstream" });
  imageOf(dirs.original, dirs.copies[0]!);
  const outcomes = async () => (await sharedRows(postgres, url)).map(({ outcome }) => outcome);
  {
    await using _copy = await startProxy({ env, dataDir: dirs.copies[0]! });
    await waitFor(async () => (await outcomes()).includes("unknown"), { what: "the copy's sweep to arrive" });
    leaving.abort();
    await waitFor(async () => (await outcomes()).includes("client_left"), { what: "the end of the call to arrive" });
  }
  assert.deepEqual(await outcomes(), ["client_left"]);
});

async function refuse(proxy: ProxyUnderTest, times: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    const answer = await fetch(`${proxy.url}/wp-login.php`);
    await answer.body?.cancel();
    assert.equal(answer.status, 404);
  }
}

/** What a snapshot of the volume would hold, taken at one moment. */
function imageOf(dir: string, copy: string): void {
  const database = new DatabaseSync(`${dir}/spool-0.db`, { readOnly: true, timeout: 5_000 });
  database.prepare("VACUUM INTO ?").run(`${copy}/spool-0.db`);
  database.close();
}

function unshippedRefusals(dir: string): number {
  const database = new DatabaseSync(`${dir}/spool-0.db`, { readOnly: true, timeout: 5_000 });
  const row = database.prepare("SELECT count(*) AS n FROM notes WHERE kind = 'refusals' AND number > (SELECT notes FROM shipped)")
    .get();
  database.close();
  return Number(row?.n);
}

function makeDirs() {
  const [original, ...copies] = [0, 1, 2].map(() => Deno.makeTempDirSync({ prefix: "llmproxy-test-" }));
  return {
    original: original!,
    copies,
    [Symbol.asyncDispose]: async () => {
      for (const dir of [original!, ...copies]) await Deno.remove(dir, { recursive: true });
    },
  };
}
