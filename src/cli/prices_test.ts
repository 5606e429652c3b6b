import assert from "node:assert/strict";
import { run } from "../../tests/fake_system.ts";
import { PRICES } from "../pricing/prices.ts";
import { parsePriceList } from "../config/prices_file.ts";

const DOCUMENTED_FILE = /```json\n(\{\n {2}"models"[\s\S]*?)```/.exec(
  Deno.readTextFileSync(new URL("../../docs/pricing.md", import.meta.url)),
)?.[1] ?? "";

Deno.test("the prices file of docs/pricing.md is one, and prices what it names", async () => {
  const list = parsePriceList(DOCUMENTED_FILE, { path: "prices.json", base: PRICES });
  assert.equal(list.models["house-model"]?.[0]?.tiers[1]?.output, "10");
  assert.deepEqual(list.models["claude-opus-5-5"]?.map(({ from }) => from), ["1970-01-01", "2027-01-01"]);
  const { code, stdout } = await run(["prices", "house-model"], {
    env: { LLMPROXY_PRICES_FILE: "/prices.json" },
    files: { "/prices.json": DOCUMENTED_FILE },
  });
  assert.equal(code, 0);
  assert.match(stdout, /^Prices 2026-11-29\+[0-9a-f]{8}, US dollars per million tokens\n/);
  assert.match(stdout, /^house-model +2026-01-01 +0 +1 +1.25 +2 +0.10 +5$/m);
  assert.match(stdout, /^ +100001 +2 +2.50 +4 +0.20 +10$/m);
});

Deno.test("llmproxy prices shows every model with its periods, tiers and factors, and what server tools cost", async () => {
  const { code, stdout } = await run(["prices"], {});
  assert.equal(code, 0);
  for (const model of Object.keys(PRICES.models)) assert.match(stdout, new RegExp(`^${model} `, "m"));
  assert.match(stdout, /^claude-sonnet-5-5 +2026-10-07 +0 +2 +2.50 +4 +0.10 +10 +-$/m);
  assert.match(stdout, /^claude-opus-5-5 +the first .* x 2$/m);
  assert.match(stdout, /^gpt-5\.6-sol +2026-08-21 +2026-11-22 +0 +4 +5 +10 +0\.40 +20 +priority x 2$/m);
  assert.match(stdout, /^ +272001 +8 +10 +20 +0\.80 +30 +priority x 2$/m);
  assert.match(stdout, /^gemini-2\.5-flash +the first +0 +0\.30 +- +2\.50 +1 +flex x 0\.5, batch x 0\.5$/m);
  assert.match(stdout, /^anthropic +x 0\.5 in a batch, x 1\.1 in us$/m);
  assert.match(
    stdout,
    /^aws\.bedrock +x 1\.1 in us, us-gov, ca, eu, jp, au, apac, regional; x 1 for models before Sonnet 4\.5$/m,
  );
  assert.match(stdout, /^web_search_requests +anthropic +the first +- +0\.01$/m);
  assert.match(stdout, /^from 2026-09-24 +bio, frontier_llm, reasoning_extraction +cyber, general_harms, \(no category\)$/m);
});

Deno.test("llmproxy prices --json prints the list and its factors", async () => {
  const { stdout } = await run(["prices", "--json"], {});
  const { sellers, ...list } = JSON.parse(stdout);
  assert.deepEqual(list, { ...PRICES, factors: { geoPercent: { us: 110 }, batchPercent: 50 } });
  assert.deepEqual(Object.keys(sellers), ["anthropic", "aws.bedrock", "gcp.gemini", "openai", "gcp.vertex_ai"]);
});

Deno.test("llmproxy prices finds the price of a dated id, and only that", async () => {
  const { stdout } = await run(["prices", "claude-haiku-4-5-20251001", "--json"], {});
  assert.deepEqual(Object.keys(JSON.parse(stdout).models), ["claude-haiku-4-5"]);
  for (const [id, name] of [["gpt-5.5-2026-04-23", "gpt-5.5"], ["us.anthropic.claude-opus-5-v1:0", "claude-opus-5"]]) {
    assert.deepEqual(Object.keys(JSON.parse((await run(["prices", id!, "--json"], {})).stdout).models), [name]);
  }
});

Deno.test("llmproxy prices says of a model without a price so, and how to add it: by a file that is one", async () => {
  const { code, stdout, stderr } = await run(["prices", "claude-nova-9-20270101"], {});
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(stderr, /^There is no price for "claude-nova-9-20270101": its calls are unpriced, not free\./);
  assert.match(stderr, /LLMPROXY_PRICES_FILE/);
  const example = /^ {2}(\{.*\})$/m.exec(stderr)?.[1] ?? "";
  const list = parsePriceList(example, { path: "prices.json", base: PRICES });
  assert.equal(list.models["claude-nova-9"]?.length, 1);
});

Deno.test("llmproxy prices returns 2 and names what is wrong if the prices file is broken", async () => {
  const { code, stderr } = await run(["prices"], { env: { LLMPROXY_PRICES_FILE: "/p.json" }, files: { "/p.json": "{" } });
  assert.equal(code, 2);
  assert.match(stderr, /\/p\.json as JSON/);
});
