/** Every command, about a running proxy, on a terminal and piped. */
import assert from "node:assert/strict";
import { commandsIn } from "../../src/cli/examples.ts";
import { programOf } from "../../src/cli/program.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { type ProxyProcess, runCommandLine, startProxyProcess } from "../proxy_process.ts";
import { messageCall } from "../proxy_under_test.ts";
import { onTerminal, plain } from "../terminal.ts";

interface Ran {
  readonly args: readonly string[];
  readonly says: RegExp;
  /** It says something else at each run. */
  readonly varies?: true;
  readonly code?: number;
}

/** In this order: some change what the next ones show. Each runs twice, so none may mind that. */
const RUNS: readonly Ran[] = [
  {
    args: ["quota", "set", "acme", "--cost-per-day", "5"],
    says: /^LIMIT +MAX +USED .*\ncost_per_day +5\.000000000 +0\.081796750 +workspace/,
  },
  { args: ["quota", "get", "acme"], says: /\ncost_per_day +5\.000000000 / },
  { args: ["quota", "clear", "acme"], says: /^removed all limits of workspace acme\n$/ },
  {
    args: ["token", "create", "--workspace", "acme", "--sandbox", "sb-2"],
    says: /llmp_[\w-]{43}\n/,
    varies: true,
  },
  {
    args: ["token", "list", "--workspace", "beta"],
    says: /^ID +WORKSPACE +SANDBOX +CREATED +EXPIRES +STATE\nlt-\S+ +beta +sb-1 .* good\n$/,
  },
  { args: ["token", "revoke", "TOKEN"], says: /^revoked lt-\w+\n$/ },
  { args: ["suspend", "beta", "--reason", "of the test"], says: /^suspended workspace beta\n$/ },
  { args: ["audit", "--action", "suspension.begin", "--since", "1h"], says: /^AT +WHO .*\n20\S+ +admin/, varies: true },
  { args: ["prices", "claude-haiku-4-5"], says: /\nMODEL +FROM +PROMPT FROM +INPUT .*\nclaude-haiku-4-5 / },
  {
    args: ["reprice", "--since", "1h", "--dry-run"],
    says: /^0 of 1 rows would change by the prices /,
    varies: true,
  },
  { args: ["export", "--format", "csv"], says: /^id,createdAt,.*\r?\nar-/ },
  { args: ["backup", "FILE"], says: /^\S+: \d+\.\d MB, 1 calls, checked and sound\n/, varies: true },
  { args: ["health", "--ready"], says: /^ok\n$/ },
  { args: ["version"], says: /^llmproxy \d+\.\d+\.\d+ \(Deno / },
  { args: ["complete", "fish"], says: /complete -c llmproxy/ },
  { args: ["reship", "--since", "1h"], says: /there is no shared database/, code: 1 },
  { args: ["import", "--from", "postgres://user@127.0.0.1:1/agentserver"], says: /^Cannot|ECONNREFUSED|refused/i, code: 1 },
  { args: ["migrate"], says: /another llmproxy holds it/, code: 1 },
];

/** They have tests of their own, on a terminal and piped; a resumption can only happen once. */
const ELSEWHERE = ["usage", "traces", "trace", "tail", "top", "requests", "requests cut", "doctor", "serve", "resume"];

Deno.test("every command has a test on a terminal and in a pipe", () => {
  const program = programOf({ now: () => 0 } as Parameters<typeof programOf>[0], { code: 0 });
  const here = RUNS.map(({ args }) => [`${args[0]} ${args[1]}`, args[0]!]);
  const missing = commandsIn(program).map(([words]) => words).filter((words) =>
    !ELSEWHERE.includes(words) && !here.some((spellings) => spellings.includes(words))
  );
  assert.deepEqual(missing, []);
});

Deno.test("every other command says the same on a terminal and in a pipe, about a running proxy", async (t) => {
  await using upstream = await startFakeUpstream();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
    const tokenId = await prepare(proxy);
    for (const { args, says, varies, code = 0 } of RUNS) {
      await t.step(`llmproxy ${args.join(" ")}`, async () => {
        const given = args.map((word) => word === "TOKEN" ? tokenId : word === "FILE" ? `${dataDir}/backup.db` : word);
        const piped = await runCommandLine(given, proxy.env);
        const shown = await onTerminal(given, { env: proxy.env, columns: 250 });
        assert.deepEqual([piped.code, shown.code], [code, code], piped.stdout + piped.stderr + shown.written);
        // A terminal shows both streams. Progress stands before the carriage return that clears it.
        const lines = plain(shown.written).replaceAll(/\r+\n/g, "\n").split("\n").map((line) => line.split("\r").at(-1)!);
        const onScreen = lines.join("\n");
        for (const text of [code === 0 ? piped.stdout : piped.stderr, onScreen]) assert.match(text, says);
        // deno-lint-ignore no-control-regex
        assert.doesNotMatch(piped.stdout, /\x1b/);
        if (!varies) assert.equal(onScreen, (piped.stdout + piped.stderr).replaceAll("\r\n", "\n"));
      });
    }
    await t.step("llmproxy resume", async () => {
      assert.equal((await runCommandLine(["resume", "beta"], proxy.env)).stdout, "resumed workspace beta\n");
      const again = await onTerminal(["resume", "beta"], { env: proxy.env });
      assert.equal(again.code, 1);
      assert.match(again.written, /it is not suspended/);
    });
  }
  await Deno.remove(dataDir, { recursive: true });
});

/** One call of acme, and a token of beta, whose id it returns. */
async function prepare(proxy: ProxyProcess): Promise<string> {
  const token = await proxy.token("acme");
  await (await fetch(`${proxy.url}/v1/messages`, messageCall(token))).text();
  await proxy.closedRows(1);
  const { stdout } = await runCommandLine(["token", "create", "--workspace", "beta", "--sandbox", "sb-1", "--json"], proxy.env);
  return JSON.parse(stdout).id;
}
