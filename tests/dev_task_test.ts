import assert from "node:assert/strict";
import { inheritedEnv } from "./proxy_process.ts";
import { waitFor } from "./wait.ts";

const ROOT = new URL("../", import.meta.url);
/** A busy machine takes its time to start a runtime, and two of them. */
const START_MS = 30_000;
const hasCurl = await run("curl", ["--version"]).then(({ code }) => code === 0, () => false);

Deno.test("deno task dev prints curl lines that stream an answer and show its usage row, and ends with 0 at Ctrl-C", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "tools/dev.ts"],
    cwd: ROOT,
    clearEnv: true,
    env: {
      ...inheritedEnv(),
      LLMPROXY_LISTEN_ADDR: "127.0.0.1:0",
      LLMPROXY_ADMIN_ADDR: "127.0.0.1:0",
      LLMPROXY_DATA_DIR: dataDir,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let printed = "";
  const read = child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (text) => void (printed += text) }),
  );
  try {
    const [streams, shows] = await waitFor(() => curlLines(printed), { what: "the curl lines", deadlineMs: START_MS });

    const answer = await paste(streams);
    assert.match(answer, /^event: message_start\ndata: \{/);
    assert.match(answer, /"text":"This /);
    assert.match(answer, /event: message_stop\ndata: \{"type":"message_stop"\}\n\n$/);

    const row = JSON.parse(await paste(shows));
    const [usage] = row.requests;
    assert.equal(row.requests.length, 1);
    assert.deepEqual(
      [usage.sandboxId, usage.model, usage.outcome, usage.accuracy],
      ["dev-sandbox", "claude-haiku-4-5", "completed", "exact"],
    );
    const counted = /"output_tokens":(\d+)\}\}\n\nevent: message_stop/.exec(answer);
    assert.equal(usage.outputTokens, Number(counted?.[1]));
  } finally {
    child.kill("SIGINT");
  }
  assert.equal((await child.status).code, 0);
  await read;
  await Deno.remove(dataDir, { recursive: true });
});

/** The two lines to paste, once all is printed. */
function curlLines(printed: string): readonly [string, string] | null {
  const [streams, shows] = printed.split("\n").map((line) => line.trim()).filter((line) => line.startsWith("curl "));
  return streams === undefined || shows === undefined || !printed.includes("export ANTHROPIC_API_KEY=") ? null : [streams, shows];
}

/** What the line prints: run by the shell, or read here where the machine has no curl. */
async function paste(line: string): Promise<string> {
  if (hasCurl) return (await run("sh", ["-c", line])).stdout;
  const url = /http:\S+/.exec(line)![0];
  const headers = [...line.matchAll(/-H '([^:]+): ([^']*)'/g)].map(([, name, value]): [string, string] => [name!, value!]);
  const body = / -d '([^']*)'/.exec(line)?.[1] ?? null;
  return await (await fetch(url, { method: body === null ? "GET" : "POST", headers, body })).text();
}

async function run(
  program: string,
  args: readonly string[],
): Promise<{ readonly code: number; readonly stdout: string }> {
  const { code, stdout } = await new Deno.Command(program, { args: [...args], clearEnv: true, env: inheritedEnv() }).output();
  return { code, stdout: new TextDecoder().decode(stdout) };
}
