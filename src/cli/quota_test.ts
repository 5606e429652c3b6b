import assert from "node:assert/strict";
import { runCommandLine, startProxyProcess } from "../../tests/proxy_process.ts";
import { startFakeUpstream } from "../../tests/fake_upstream.ts";

Deno.test("quota set, get and clear change the limits of a workspace, a sandbox, a session and the default", async () => {
  await using upstream = await startFakeUpstream();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
    const quota = (...args: string[]) => runCommandLine(["quota", ...args], proxy.env);
    const limits = async (...args: string[]) => {
      const { stdout } = await quota("get", ...args, "--json");
      const found = JSON.parse(stdout).limits as readonly { kind: string; max: unknown; source: string }[];
      return found.map(({ kind, max, source }) => [kind, max, source]);
    };
    assert.equal((await quota("set", "acme", "--cost-per-day", "5", "--concurrent", "8")).code, 0);
    assert.equal((await quota("set", "acme", "--sandbox", "sb-1", "--rpd", "10")).code, 0);
    assert.equal((await quota("set", "acme", "--trace", "at-1", "--calls-per-minute", "60")).code, 0);
    assert.equal((await quota("set", "--cost-per-month", "2000.50")).code, 0);
    assert.deepEqual(await limits("acme"), [
      ["cost_per_day", "5.000000000", "workspace"],
      ["cost_per_month", "2000.500000000", "default"],
      ["concurrent", 8, "workspace"],
    ]);
    assert.deepEqual(await limits("acme", "--sandbox", "sb-1"), [["rpd", 10, "sandbox"]]);
    assert.deepEqual(await limits("acme", "--trace", "at-1"), [["calls_per_minute", 60, "trace"]]);
    const { stdout } = await quota("set", "acme", "--concurrent", "none");
    assert.match(stdout, /^LIMIT +MAX +USED +SET FOR +RESETS AT\ncost_per_day +5\.000000000 +0\.000000000 +workspace +\d{4}-/);
    assert.equal((await quota("clear", "acme")).stdout, "removed all limits of workspace acme\n");
    assert.deepEqual(await limits("acme"), [["cost_per_month", "2000.500000000", "default"]]);

    for (
      const [args, says] of [
        [["set", "acme"], /name at least one/],
        [["set", "acme", "--cost-per-day", "five"], /Cannot read max_cost_per_day_usd/],
        [["set", "acme", "--rpd", "-1"], /Cannot read max_rpd as a whole number/],
        [["set", "acme", "--calls-per-minute", "5"], /Cannot read "max_calls_per_minute"/],
        [["get", "--sandbox", "sb-1"], /name its workspace too/],
      ] as const
    ) {
      const { code, stderr } = await quota(...args);
      assert.equal(code, 1, args.join(" "));
      assert.match(stderr, says);
    }
  }
  await Deno.remove(dataDir, { recursive: true });
});
