import assert from "node:assert/strict";
import { answering, type Call, run } from "../../tests/fake_system.ts";
import type { Config } from "../config/config.ts";
import type { StorageConfig } from "../config/config.ts";
import { VERSION } from "../server/version.ts";

Deno.test("runProgram() serves with the config of the environment and returns the exit code of serve", async () => {
  const seen: Config[] = [];
  const { code } = await run(["serve"], {
    env: { ANTHROPIC_API_KEY: "key", LLMPROXY_LISTEN_ADDR: ":9" },
    serve: (config) => {
      seen.push(config);
      return Promise.resolve(7);
    },
  });
  assert.equal(code, 7);
  assert.equal(seen[0]?.proxy.address.port, 9);
});

Deno.test("runProgram() prints each config problem on its own line and returns 2", async () => {
  const { code, stdout, stderr } = await run(["serve"], { env: { LLMPROXY_DRAIN_SECONDS: "two", LLMPROXY_LOG_LEVEL: "loud" } });
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.equal(stderr.trimEnd().split("\n").length, 3);
  for (const line of stderr.trimEnd().split("\n")) assert.match(line, /^Cannot /);
});

for (
  const args of [["sevre"], ["serve", "--fast"], ["serve", "twice"], ["token"], ["token", "mint"], [
    "token",
    "create",
    "--sandbox",
    "s",
  ], []]
) {
  Deno.test(`runProgram() returns 2 and says why for: llmproxy ${args.join(" ")}`, async () => {
    const { code, stdout, stderr } = await run(args, {});
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.notEqual(stderr, "");
  });
}

Deno.test("runProgram() lists the commands and examples for --help and returns 0", async () => {
  const { code, stdout } = await run(["--help"], {});
  assert.equal(code, 0);
  for (
    const word of [
      "serve",
      "migrate",
      "token",
      "reship",
      "prices",
      "reprice",
      "health",
      "version",
      "Examples:",
      "in a pipe",
      "--json prints JSON",
    ]
  ) {
    assert.ok(stdout.includes(word), word);
  }
  assert.equal((await run(["token", "create", "--help"], {})).code, 0);
});

Deno.test("runProgram() prints the version", async () => {
  assert.deepEqual(await run(["version"], {}), { code: 0, stdout: `llmproxy ${VERSION} (deno 9.9.9)\n`, stderr: "" });
  assert.deepEqual(await run(["--version"], {}), { code: 0, stdout: `${VERSION}\n`, stderr: "" });
});

Deno.test("runProgram() migrate says from which version to which, and asks for no credential", async () => {
  const seen: StorageConfig[] = [];
  const migrate = (storage: StorageConfig) => {
    seen.push(storage);
    return Promise.resolve([{ name: "embedded database", from: 0, to: 2 }, { name: "shared database", from: 2, to: 2 }]);
  };
  const { code, stdout } = await run(["migrate"], { env: { LLMPROXY_DATA_DIR: "/d" }, migrate });
  assert.deepEqual([code, seen[0]?.dataDir], [0, "/d"]);
  assert.equal(
    stdout,
    "embedded database: the schema went from version 0 to 2\nshared database: nothing to apply: the schema has version 2\n",
  );
});

Deno.test("runProgram() prints why a command failed and returns 1", async () => {
  const newer = () => {
    throw new Error("Cannot use a database of version 9: this program knows 1");
  };
  assert.deepEqual(await run(["migrate"], { migrate: newer }), {
    code: 1,
    stdout: "",
    stderr: "Cannot use a database of version 9: this program knows 1\n",
  });
});

Deno.test("health returns 0 if the proxy answers 200 and 1 if it does not", async () => {
  const calls: Call[] = [];
  assert.deepEqual(await run(["health"], { fetch: answering(calls, 200, "ok") }), { code: 0, stdout: "ok\n", stderr: "" });
  const env = { LLMPROXY_LISTEN_ADDR: ":9000" };
  const unready = await run(["health", "--ready"], { env, fetch: answering(calls, 503, "draining") });
  assert.deepEqual(calls.map((call) => call.url), ["http://127.0.0.1:8081/healthz", "http://127.0.0.1:9000/readyz"]);
  assert.equal(unready.code, 1);
  assert.match(unready.stderr, /503: "draining"/);
  assert.equal((await run(["health"], { fetch: () => Promise.reject(new TypeError("refused")) })).code, 1);
});

Deno.test("export, reprice and reship refuse an empty time span with 2, before any request", async () => {
  const [earlier, later, future] = ["2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z", "2030-01-01T00:00:00Z"];
  const spans = [["--since", later, "--until", earlier], ["--since", later, "--until", later], ["--since", future]];
  for (const command of [["export", "--format", "csv"], ["reprice"], ["reprice", "--dry-run"]]) {
    for (const span of spans) {
      const { code, stdout, stderr } = await run([...command, ...span], {});
      assert.deepEqual([code, stdout], [2, ""], `${command} ${span}`);
      assert.match(stderr, /^error: the time from --since to (now|before --until) is empty: --since has to be the earlier\n$/);
    }
  }
  assert.equal((await run(["reship", "--since", future], {})).code, 2);
  const minutes = await run(["reship", "--since", "2025-01-01T00:00Z"], {});
  assert.equal(minutes.code, 2);
  assert.match(minutes.stderr, /Expected a time with its seconds, such as 2026-01-31T12:00:00Z/);
});

Deno.test("a command that times out says so, and not that no proxy runs", async () => {
  const late = () => Promise.reject(new DOMException("Signal timed out.", "TimeoutError"));
  const { code, stderr } = await run(["token", "list"], { fetch: late });
  assert.equal(code, 3);
  assert.match(stderr, /^The proxy's admin listener at http:\/\/127\.0\.0\.1:8082 has not answered within 40 s/);
});
