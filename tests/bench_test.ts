import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const BENCH = ["run", "-A", "--no-check", "bench/end_to_end.ts", "--quick", "--rounds=1"];

async function runBench(...args: string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...BENCH, ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("the bench names every contender, in its table or as left out with the reason", async () => {
  const { code, out, err } = await runBench("--loads=small", "--contenders=relay-untouched,nginx,llmproxy,llmproxy-executable");
  assert.equal(code, 0, out + err);
  const lines = out.split("\n");
  const table = lines.slice(lines.findIndex((line) => line.startsWith("small: ")));
  for (const name of ["direct", "relay-untouched", "nginx", "llmproxy"]) {
    const isThere = table.some((line) => new RegExp(`^${name} +\\d`).test(line));
    assert.ok(isThere || name === "nginx" && out.includes("LEFT OUT: nginx: "), `${name} is missing in:\n${out}`);
  }
  assert.match(out, /^LEFT OUT: llmproxy-executable: no --executable=PATH was given$/m);
  assert.match(out, /^CPU per small call, against the untouched relay +<= 2\.5 +[\d.]+ +(yes|no)$/m);
  const { loads, ledgers } = JSON.parse(out.trimEnd().split("\n").at(-1)!);
  assert.ok(
    loads[0].contenders.every((row: { readonly calls: number; readonly errors: number }) => row.calls > 0 && row.errors === 0),
  );
  assert.ok(ledgers[0].made > 0 && ledgers[0].made === ledgers[0].recorded, JSON.stringify(ledgers));
});

Deno.test("the bench compares the dialects in one process, and pools what it measured in several", async () => {
  const names = ["anthropic", "responses", "chat", "bedrock", "bedrock-signed", "vertex", "gemini"];
  const { code, out, err } = await runBench(`--loads=${names.map((name) => `${name}-burst`)}`, "--restarts=2");
  assert.equal(code, 0, out + err);
  for (const name of names) assert.match(out, new RegExp(`^${name}-burst: .* +\\d+ / call`, "m"));
  for (const name of names.slice(1)) {
    assert.match(out, new RegExp(`^CPU of ${name}-burst, against Anthropic's +<= 1.15 +\\d`, "m"));
  }
  const { loads, ledgers } = JSON.parse(out.trimEnd().split("\n").at(-1)!);
  assert.ok(
    loads.every((load: { readonly rounds: number; readonly contenders: readonly { readonly errors: number }[] }) =>
      load.rounds === 2 && load.contenders.every(({ errors }) => errors === 0)
    ),
  );
  assert.ok(ledgers.every(({ made, recorded }: { readonly made: number; readonly recorded: number }) => made === recorded));
});

Deno.test("the bench refuses a contender that it does not have, and lists those that it has", async () => {
  const { code, err } = await runBench("--contenders=smal");
  assert.equal(code, 2);
  assert.match(err, /^Cannot read smal\. Loads: calls, small-alone, small, .*, start\. Contenders: direct, /);
});
