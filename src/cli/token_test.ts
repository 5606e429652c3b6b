import assert from "node:assert/strict";
import { ADMIN_TOKEN, answering, type Call, NOW, run } from "../../tests/fake_system.ts";
import type { AuditStamp } from "../domain/audit.ts";
import type { LocalToken, Tokens } from "../domain/tokens.ts";
import type { StorageConfig } from "../config/config.ts";
import { parseDuration } from "./arguments.ts";

const DAY = 86_400_000;

Deno.test("token create calls the admin API with the token of the data directory and prints only the new token", async () => {
  const calls: Call[] = [];
  const { code, stdout, stderr } = await run(["token", "create", "--workspace", "w", "--sandbox", "s", "--expires", "30d"], {
    fetch: answering(calls, 201, {
      token: "llmp_new",
      id: "lt-1",
      workspaceId: "w",
      sandboxId: "s",
      createdAt: iso(NOW),
      expiresAt: iso(NOW + 30 * DAY),
    }),
  });
  assert.deepEqual(calls, [{
    url: "http://127.0.0.1:8082/internal/tokens",
    method: "POST",
    authorization: `Bearer ${ADMIN_TOKEN}`,
    body: { workspaceId: "w", sandboxId: "s", expiresAt: "2026-02-01T03:04:05.000Z" },
  }]);
  assert.deepEqual([code, stdout], [0, "llmp_new\n"]);
  assert.match(stderr, /lt-1 of sandbox s in workspace w; it expires 2026-02-01T03:04:05.000Z and is shown only now/);
});

Deno.test("token create --json prints the answer as the admin API writes it, without expiresAt if the token has none", async () => {
  const calls: Call[] = [];
  const made = { token: "llmp_new", id: "lt-1", workspaceId: "w", sandboxId: "s", createdAt: iso(NOW) };
  const { stdout } = await run(["token", "create", "--workspace", "w", "--sandbox", "s", "--json"], {
    fetch: answering(calls, 201, made),
  });
  assert.deepEqual(JSON.parse(stdout), made);
  assert.deepEqual(calls[0]?.body, { workspaceId: "w", sandboxId: "s" });
});

Deno.test("token create refuses a duration and an id that it cannot read, before any request", async () => {
  const calls: Call[] = [];
  const fetch = answering(calls, 201, {});
  const create = ["token", "create", "--workspace", "w"];
  assert.equal((await run([...create, "--sandbox", "s", "--expires", "soon"], { fetch })).code, 2);
  assert.equal((await run([...create, "--sandbox", "two words"], { fetch })).code, 2);
  assert.deepEqual(calls, []);
});

Deno.test("token list prints columns, in the order of the proxy, with the state of each", async () => {
  const calls: Call[] = [];
  const base = { workspaceId: "w x", sandboxId: "s", createdAt: iso(NOW - DAY) };
  const tokens = [{ ...base, id: "lt-3" }, { ...base, id: "lt-2", expiresAt: iso(NOW) }, {
    ...base,
    id: "lt-1",
    revokedAt: iso(NOW - 1),
  }];
  const { code, stdout } = await run(["token", "list", "--workspace", "w&x"], { fetch: answering(calls, 200, { tokens }) });
  assert.equal(calls[0]?.url, "http://127.0.0.1:8082/internal/tokens?workspace_id=w%26x");
  assert.equal(code, 0);
  const lines = stdout.trimEnd().split("\n").map((line) => line.split(/ {2,}/));
  assert.deepEqual(lines.map((cells) => [cells[0], cells[5]]), [["ID", "STATE"], ["lt-3", "good"], ["lt-2", "expired"], [
    "lt-1",
    "revoked",
  ]]);
});

Deno.test("token revoke names what it revoked, and fails for an unknown id", async () => {
  const calls: Call[] = [];
  const revoked = { id: "lt-1", workspaceId: "w", sandboxId: "s", createdAt: iso(NOW), revokedAt: iso(NOW) };
  assert.equal((await run(["token", "revoke", "lt-1"], { fetch: answering(calls, 200, revoked) })).stdout, "revoked lt-1\n");
  assert.deepEqual([calls[0]?.method, calls[0]?.url], ["DELETE", "http://127.0.0.1:8082/internal/tokens/lt-1"]);
  const unknown = await run(["token", "revoke", "a/b"], { fetch: answering(calls, 404, { error: { message: "no" } }) });
  assert.equal(calls[1]?.url, "http://127.0.0.1:8082/internal/tokens/a%2Fb");
  assert.deepEqual([unknown.code, unknown.stderr], [1, 'Cannot revoke the token "a/b": there is no token with that id\n']);
});

Deno.test("every command tells the proxy its user, if the environment names one that can be recorded", async () => {
  const named = async (env: Readonly<Record<string, string>>) => {
    const seen: (string | null)[] = [];
    const fetch: typeof globalThis.fetch = (_, init) => {
      seen.push(new Headers(init?.headers).get("x-llmproxy-actor"));
      return Promise.resolve(Response.json({ tokens: [] }));
    };
    await run(["token", "list"], { env, fetch });
    return seen[0];
  };
  assert.equal(await named({ USER: "root", SUDO_USER: "alice", LOGNAME: "root" }), "alice");
  assert.equal(await named({ USER: "alice" }), "alice");
  assert.equal(await named({ LOGNAME: "alice" }), "alice");
  for (const env of [{}, { USER: "" }, { USER: "two words" }, { USER: "é" }, { USER: "x".repeat(129) }]) {
    assert.equal(await named(env), null);
  }
});

Deno.test("token list goes where LLMPROXY_ADMIN_ADDR points, and to the proxy's listener if that is same", async () => {
  const cases = [
    [{ LLMPROXY_ADMIN_ADDR: "[::]:99" }, "http://[::1]:99"],
    [{ LLMPROXY_ADMIN_ADDR: "same" }, "http://127.0.0.1:8081"],
    [{ LLMPROXY_ADMIN_ADDR: "same", LLMPROXY_LISTEN_ADDR: "10.0.0.7:80" }, "http://10.0.0.7:80"],
  ] as const;
  for (const [env, base] of cases) {
    const calls: Call[] = [];
    await run(["token", "list"], { env, fetch: answering(calls, 200, { tokens: [] }) });
    assert.equal(calls[0]?.url, `${base}/internal/tokens`);
  }
});

Deno.test("LLMPROXY_ADMIN_URL names a proxy elsewhere, which never gets the token of this machine's data directory", async () => {
  const calls: Call[] = [];
  const fetch = answering(calls, 200, { tokens: [] });
  const LLMPROXY_ADMIN_URL = "https://proxy.internal/llm/";
  const without = await run(["token", "list"], { env: { LLMPROXY_ADMIN_URL }, fetch });
  assert.deepEqual([without.code, calls], [2, []]);
  assert.match(without.stderr, /set LLMPROXY_ADMIN_TOKEN or LLMPROXY_ADMIN_TOKEN_FILE/);

  const token = "another-token-of-that-machine";
  const given = await run(["token", "list"], { env: { LLMPROXY_ADMIN_URL, LLMPROXY_ADMIN_TOKEN: token }, fetch });
  assert.deepEqual([given.code, given.stderr], [0, ""]);
  assert.deepEqual([calls[0]?.url, calls[0]?.authorization], ["https://proxy.internal/llm/internal/tokens", `Bearer ${token}`]);

  const local = await run(["token", "list"], { env: { LLMPROXY_ADMIN_URL: "http://127.0.0.1:9" }, fetch });
  assert.deepEqual([local.code, calls[1]?.authorization], [0, `Bearer ${ADMIN_TOKEN}`]);

  const plain = { LLMPROXY_ADMIN_URL: "http://proxy.internal:8082", LLMPROXY_ADMIN_TOKEN: token };
  assert.match((await run(["token", "list"], { env: plain, fetch })).stderr, /is not https: the admin token is sent unencrypted/);
  const copied = await run(["token", "list"], { env: { ...plain, LLMPROXY_ADMIN_URL: "https://p/internal" }, fetch });
  assert.deepEqual([copied.code, copied.stderr.split(":")[0]], [2, "Cannot use LLMPROXY_ADMIN_URL"]);
});

Deno.test("token list says how to start a proxy that does not run", async () => {
  const { code, stderr } = await run(["token", "list"], { fetch: () => Promise.reject(new TypeError("connection refused")) });
  assert.equal(code, 3);
  assert.match(stderr, /http:\/\/127\.0\.0\.1:8082.*llmproxy serve.*--offline/s);
});

Deno.test("token list says where it looked for the admin token, without the token", async () => {
  const missing = await run(["token", "list"], { files: {} });
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /LLMPROXY_ADMIN_TOKEN is not set, and \.\/data\/admin-token cannot be read/);

  const refused = await run(["token", "list"], { fetch: answering([], 401, {}) });
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /taken from \.\/data\/admin-token/);
  const fromEnv = await run(["token", "list"], { env: { LLMPROXY_ADMIN_TOKEN: ADMIN_TOKEN }, fetch: answering([], 401, {}) });
  assert.match(fromEnv.stderr, /taken from LLMPROXY_ADMIN_TOKEN/);
  assert.ok(!(refused.stderr + fromEnv.stderr).includes(ADMIN_TOKEN));
});

Deno.test("token create shows the proxy's own words if it refuses, and doubts a stranger's answer", async () => {
  const create = ["token", "create", "--workspace", "w", "--sandbox", "s"];
  const refused = await run(create, {
    fetch: answering([], 400, { type: "error", error: { type: "invalid_request_error", message: "No." } }),
  });
  assert.deepEqual([refused.code, refused.stderr], [1, "The proxy refuses (400): No.\n"]);
  const stranger = await run(create, { fetch: answering([], 200, "<html>") });
  assert.equal(stranger.code, 1);
  assert.match(stranger.stderr, /Cannot understand the answer \(200\)/);
});

Deno.test("token --offline works on the data directory without the network and unlocks it", async () => {
  const kept = new Map<string, LocalToken>();
  const stamps: AuditStamp[] = [];
  let opened = 0;
  const openOffline = (storage: StorageConfig) => {
    assert.equal(storage.dataDir, "./data");
    opened++;
    const records = {
      recordUsage: () => assert.fail("no row was to be written"),
      recordTraces: () => assert.fail("nor a trace"),
    };
    return Promise.resolve({ tokens: tokensIn(kept, stamps), records, end: () => Promise.resolve(void opened--) });
  };
  const env = { USER: "alice" };
  const created = await run(["token", "create", "--workspace", "w", "--sandbox", "s", "--offline"], { openOffline, env });
  assert.match(created.stdout, /^llmp_[\w-]{43}\n$/);
  assert.match(
    (await run(["token", "list", "--offline"], { openOffline })).stdout,
    /lt-ID\s+w\s+s\s+2026-01-02T03:04:05.000Z\s+never\s+good/,
  );
  assert.equal((await run(["token", "revoke", "lt-ID", "--offline"], { openOffline })).stdout, "revoked lt-ID\n");
  assert.equal(kept.get("lt-ID")?.revokedAt, NOW);
  const stamp = { id: "au-ID", at: NOW, who: "offline", claimed: null, address: null };
  assert.deepEqual(stamps, [{ ...stamp, claimed: "alice" }, stamp]);
  assert.equal((await run(["token", "revoke", "lt-other", "--offline"], { openOffline })).code, 1);
  assert.equal(opened, 0);
});

Deno.test("token --offline fails with the words of the lock", async () => {
  const { code, stderr } = await run(["token", "list", "--offline"], {
    openOffline: () => Promise.reject(new Error("./data is in use")),
  });
  assert.deepEqual([code, stderr], [1, "./data is in use\n"]);
});

Deno.test("parseDuration() reads seconds, minutes, hours, days and never, and nothing else", () => {
  assert.deepEqual(["90s", "45m", "12h", "30d"].map(parseDuration), [90_000, 2_700_000, 43_200_000, 2_592_000_000]);
  assert.equal(parseDuration("never"), null);
  for (const text of ["", "30", "d", "0d", "-1d", "1.5h", "1w", "1d ", "999999d"]) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

function tokensIn(kept: Map<string, LocalToken>, stamps: AuditStamp[]): Tokens {
  return {
    createToken: (token, _, stamp) => {
      stamps.push(stamp);
      return Promise.resolve(void kept.set(token.id, token));
    },
    findToken: () => assert.fail("no token is looked up"),
    listTokens: () => Promise.resolve([...kept.values()]),
    revokeToken: (id, stamp) => {
      const token = kept.get(id);
      if (token === undefined) return Promise.resolve(null);
      stamps.push(stamp);
      kept.set(id, { ...token, revokedAt: stamp.at });
      return Promise.resolve(kept.get(id)!);
    },
  };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
