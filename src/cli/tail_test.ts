import assert from "node:assert/strict";
import { run } from "../../tests/fake_system.ts";

const CALL = {
  ...{ id: "ar-1", createdAt: "2026-01-02T03:04:05.000Z", workspaceId: "acme", sandboxId: "sb-1", traceId: "at-1" },
  ...{ model: "m", outcome: "completed", accuracy: "estimated", duration: 1_500, ttft: 20 },
  ...{ inputTokens: 9007199254740993n, outputTokens: 7, cacheReadInputTokens: 0, costUsd: "0.250000000" },
};

Deno.test("tail asks on with the place of the answer before, and no faster than once a second if there is nothing", async () => {
  const leaving = new AbortController();
  const urls: URL[] = [];
  const fetch = (url: string) => {
    urls.push(new URL(url));
    setTimeout(() => leaving.abort(), 300);
    return Promise.resolve(Response.json({ calls: [], next: `place-${urls.length}` }));
  };
  const args = ["tail", "--workspace", "acme", "--trace", "a trace"];
  const { code, stdout } = await run(args, { fetch, interrupted: () => leaving.signal });
  assert.equal(code, 0);
  assert.match(stdout, /^ENDED +WORKSPACE [^\n]*\n$/);
  assert.deepEqual(urls.map(({ search }) => search), [
    "?workspace_id=acme&trace_id=a+trace",
    "?workspace_id=acme&trace_id=a+trace&limit=1000&wait=20&after=place-1",
  ]);
});

Deno.test("tail --json writes each call as the admin API does, with all digits, and the table rounds", async () => {
  const shown = async (...args: readonly string[]) => {
    const leaving = new AbortController();
    let asked = 0;
    const text = JSON.stringify({ calls: [CALL], next: "p" }, (_, value) => typeof value === "bigint" ? "BIG" : value)
      .replace('"BIG"', String(CALL.inputTokens));
    const fetch = () => {
      if (++asked === 3) leaving.abort();
      return Promise.resolve(asked === 2 ? new Response(text) : Response.json({ calls: [], next: "p" }));
    };
    return (await run(["tail", ...args], { fetch, interrupted: () => leaving.signal })).stdout;
  };
  const json = await shown("--json");
  assert.match(json, /^\{[^\n]*"inputTokens":9007199254740993,[^\n]*\}\n$/);
  assert.deepEqual(JSON.parse(json), { ...CALL, inputTokens: Number(CALL.inputTokens) });
  const [, line] = (await shown()).split("\n");
  assert.match(
    line!,
    /^2026-01-02T03:04:06Z +acme +sb-1 +at-1 +m +- +completed +1\.5 s +9,007,199,254,740,993 +0 +~7 +~\$0\.2500$/,
  );
});
