import assert from "node:assert/strict";
import { NOW, run } from "../../tests/fake_system.ts";

const LINE = "0123456789\n";

Deno.test("export asks for what it is told, prints only the rows, and no progress without a terminal", async () => {
  const urls: string[] = [];
  const args = ["--since", "2026-01-01T00:00:00Z", "--until", "1h", "--workspace", "w&x", "--sandbox", "sb"];
  const { code, stdout, stderr } = await run(["export", "--format", "csv", ...args], {
    fetch: (url) => {
      urls.push(url);
      return Promise.resolve(exported(3));
    },
  });
  assert.deepEqual([code, stdout, stderr], [0, LINE.repeat(3), ""]);
  const { pathname, searchParams } = new URL(urls[0]!);
  assert.equal(pathname, "/internal/export");
  assert.deepEqual(Object.fromEntries(searchParams), {
    format: "csv",
    since: "2026-01-01T00:00:00.000Z",
    until: new Date(NOW - 3_600_000).toISOString(),
    workspace_id: "w&x",
    sandbox_id: "sb",
  });
});

Deno.test("export draws a bar on a terminal, clears it, and says how many rows are in the file", async () => {
  const dir = await Deno.makeTempDir();
  let now = NOW;
  const { code, stdout, stderr } = await run(["export", "--format", "csv", "--output", `${dir}/usage.csv`], {
    fetch: () => Promise.resolve(exported(4)),
    isTerminal: () => true,
    now: () => now += 1_000,
  });
  assert.deepEqual([code, stdout], [0, ""]);
  const [clear, first, , , last, ...rest] = stderr.split("\r\x1b[K");
  assert.equal(clear, "");
  assert.match(first!, /^\[#{7}\.{23}\] 25 % /);
  assert.match(last!, /^\[#{29}\.\] 99 % /);
  assert.deepEqual(rest, [`4 rows in ${dir}/usage.csv\n`]);
  assert.equal(await Deno.readTextFile(`${dir}/usage.csv`), LINE.repeat(4));
  assert.equal((await Deno.stat(`${dir}/usage.csv`)).mode! & 0o777, 0o600);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("export that breaks off gives 1 and leaves the file of last time as it was", async () => {
  const dir = await Deno.makeTempDir();
  await Deno.writeTextFile(`${dir}/usage.csv`, "of last time");
  const { code, stderr } = await run(["export", "--format", "csv", "--output", `${dir}/usage.csv`], {
    fetch: () => Promise.resolve(exported(4, { breaksAfter: 2 })),
  });
  assert.equal(code, 1);
  assert.match(stderr, /^The export broke off: connection reset\. What came of it is not whole/);
  assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name), ["usage.csv"]);
  assert.equal(await Deno.readTextFile(`${dir}/usage.csv`), "of last time");
  await Deno.remove(dir, { recursive: true });
});

Deno.test("export says why the proxy refuses, and that it does not know a format", async () => {
  const fetch = () => Promise.resolve(Response.json({ error: { message: "2 exports are under way" } }, { status: 503 }));
  const refused = await run(["export", "--format", "csv"], { fetch });
  assert.deepEqual([refused.code, refused.stderr], [3, "The proxy refuses (503): 2 exports are under way\n"]);
  assert.equal((await run(["export", "--format", "xlsx"], {})).code, 2);
  assert.equal((await run(["export"], {})).code, 2);
});

/** An answer of so many lines, one a chunk. */
function exported(rows: number, { breaksAfter = Infinity }: { readonly breaksAfter?: number } = {}): Response {
  let sent = 0;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (sent === breaksAfter) return controller.error(new Error("connection reset"));
      if (sent++ === rows) return controller.close();
      controller.enqueue(new TextEncoder().encode(LINE));
    },
  }, { highWaterMark: 0 });
  const headers = { "x-llmproxy-rows": String(rows), "x-llmproxy-estimated-bytes": String(rows * LINE.length) };
  return new Response(body, { headers });
}
