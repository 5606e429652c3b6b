import assert from "node:assert/strict";
import { loadConfigFromEnv } from "./config.ts";
import { ConfigProblems } from "./settings_reader.ts";

Deno.test("readForwardProxies() reads small letters before capital ones, and takes ALL_PROXY for a scheme without its own", () => {
  const cases: readonly (readonly [Readonly<Record<string, string>>, http: string | null, https: string | null])[] = [
    [{}, null, null],
    [{ HTTP_PROXY: "a:1" }, "http://a:1", null],
    [{ HTTPS_PROXY: "a:1" }, null, "http://a:1"],
    [{ http_proxy: "a:1", HTTP_PROXY: "b:1", https_proxy: "c:1", HTTPS_PROXY: "d:1" }, "http://a:1", "http://c:1"],
    [{ http_proxy: "", HTTP_PROXY: "b:1" }, "http://b:1", null],
    [{ http_proxy: "  ", HTTP_PROXY: "b:1" }, "http://b:1", null],
    [{ ALL_PROXY: "socks5://a", https_proxy: "b:1" }, "socks5://a:1080", "http://b:1"],
    [{ all_proxy: "a:1", ALL_PROXY: "b:1" }, "http://a:1", "http://a:1"],
  ];
  for (const [env, http, https] of cases) {
    const { forwardProxies } = load(env);
    assert.deepEqual([forwardProxies.http?.url ?? null, forwardProxies.https?.url ?? null], [http, https], JSON.stringify(env));
  }
});

Deno.test("readForwardProxies() reads no_proxy before NO_PROXY, and neither without a proxy", () => {
  const port = (env: Readonly<Record<string, string>>) => load(env).forwardProxies.direct.map((entry) => entry.port);
  assert.deepEqual(port({ HTTP_PROXY: "a", no_proxy: "b:1", NO_PROXY: "b:2,b:3" }), [1]);
  assert.deepEqual(port({ HTTP_PROXY: "a", no_proxy: "", NO_PROXY: "b:2,b:3" }), [2, 3]);
  assert.deepEqual(port({ no_proxy: "what is this?" }), []);
});

Deno.test("readForwardProxies() names the variable that cannot be read, and shows no password", () => {
  const password = "s3cret-Passw0rd";
  const found = problems({
    https_proxy: `http://user:${password}@proxy:99999`,
    HTTP_PROXY: `user:${password}:proxy:3128`,
    all_proxy: `ftp://user:${password}@proxy`,
    NO_PROXY: `localhost,10.*,http://user:${password}@host,a.example`,
  });
  const names = found.map((problem) => /^Cannot read (?:an entry of )?(\w+)/.exec(problem)?.[1]);
  assert.deepEqual(names, ["all_proxy", "HTTP_PROXY", "https_proxy"]);
  const inList = problems({ HTTP_PROXY: "a", NO_PROXY: `localhost,10.*,http://user:${password}@host,a.example` });
  assert.match(inList[0]!, /^Cannot read an entry of NO_PROXY: "10\.\*"\. Expected \*, a name/);
  assert.match(inList[1]!, /^Cannot read an entry of NO_PROXY: one that is not shown\./);
  assert.equal(inList.length, 2);
  assert.ok(![...found, ...inList].join().includes(password));
});

function load(env: Readonly<Record<string, string>>) {
  const all: Readonly<Record<string, string>> = { ANTHROPIC_API_KEY: "key", ...env };
  return loadConfigFromEnv({ env: (name) => all[name], names: Object.keys(all), readFile: () => "" });
}

function problems(env: Readonly<Record<string, string>>): readonly string[] {
  try {
    load(env);
  } catch (error) {
    assert.ok(error instanceof ConfigProblems);
    return error.problems;
  }
  assert.fail("no problems");
}
