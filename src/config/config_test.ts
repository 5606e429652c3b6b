import assert from "node:assert/strict";
import { loadClientConfig, loadConfigFromEnv, loadStorageConfig, readSecrets } from "./config.ts";
import { PRICES } from "../pricing/prices.ts";
import { SETTINGS } from "./settings.ts";
import { ConfigProblems } from "./settings_reader.ts";
import { problemsOf, source } from "../../tests/config_source.ts";

const KEY = "sk-ant-api03-secret-key";

Deno.test("loadConfigFromEnv() fills in every default when only a key is set", () => {
  const { upstreams, prices, ...config } = loadConfigFromEnv(source({ ANTHROPIC_API_KEY: KEY }));
  const [{ credentials, ...upstream } = assert.fail(), ...others] = upstreams;
  const [{ id, ...credential } = assert.fail()] = credentials;
  const baseUrl = "https://api.anthropic.com";
  assert.equal(prices, PRICES);
  assert.match(id, /^api-key-[0-9a-f]{8}$/);
  assert.deepEqual(credential, { weight: 1, baseUrl, secret: KEY, auth: { kind: "header", header: "x-api-key", value: KEY } });
  assert.deepEqual(others, []);
  assert.deepEqual(upstream, {
    ...{ name: "anthropic", dialect: "anthropic", seller: "anthropic", baseUrl, place: { project: null, locations: [] } },
    ...{ models: ["*"], workspaces: null, readOnMs: 0, isStrict: false },
  });
  assert.deepEqual(config, {
    proxy: {
      address: { hostname: "0.0.0.0", port: 8081 },
      traceHeader: "X-Trace-Id",
      clientIpHeader: null,
      inferSessionMs: 43_200_000,
      allowPaths: [],
      bodyMs: 60_000,
      ...{ headMs: 75_000, keepAliveMs: 75_000, stallMs: 600_000, maxConnections: null, brokenStream: "reset" },
      bodyBudgetBytes: 536_870_912,
      bodyBudgetPerSandboxBytes: 134_217_728,
    },
    admin: { address: { hostname: "127.0.0.1", port: 8082 }, token: null, viewerToken: null, hosts: [], isSecure: false },
    forwardProxies: { http: null, https: null, direct: [] },
    storage: { dataDir: "./data", sync: "normal", database: null, retentionMs: null },
    upstream: { idleMs: 660_000, waitMs: 60_000, caCertificates: null },
    limits: LIMITS,
    drain: { leadMs: 5_000, runningMs: 120_000 },
    ...{ oidc: null, agentserver: null, workers: 1, logLevel: "info", warnings: [] },
    ...{ telemetry: null, telemetryHeaders: { traces: {}, metrics: {} } },
  });
});

const GUARD = {
  ...{ LLMPROXY_TRACE_CALLS_PER_MINUTE: "60", LLMPROXY_TRACE_COST_PER_HOUR: "2.50", LLMPROXY_LOOP_CALLS: "20" },
  ...{ LLMPROXY_PAUSE_SECONDS: "60", LLMPROXY_WARN_PERCENT: "50, 90", LLMPROXY_WEBHOOK_URL: "https://hooks.test/?key=1" },
  LLMPROXY_WEBHOOK_SECRET: "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
};

const LIMITS = {
  ...{ defaults: { rpd: 0, calls_per_minute: 0, cost_per_hour: 0 }, reserve: "typical", unpriced: "refuse", queueMs: 30_000 },
  ...{ loopCalls: 0, pauseMs: 300_000, warnPercents: [80, 100], webhookUrl: null, webhookSecret: null },
};

const CONNECTIONS = {
  ...{ LLMPROXY_HEAD_SECONDS: "8", LLMPROXY_KEEP_ALIVE_SECONDS: "9", LLMPROXY_CLIENT_STALL_SECONDS: "10" },
  ...{ LLMPROXY_MAX_CONNECTIONS: "11", LLMPROXY_BROKEN_STREAM: "event" },
};

Deno.test("loadConfigFromEnv() reads every setting", () => {
  const config = loadConfigFromEnv(source({
    ANTHROPIC_AUTH_TOKEN: "bearer-token",
    ANTHROPIC_BASE_URL: "https://gateway.example/anthropic/",
    LLMPROXY_LISTEN_ADDR: "[::1]:80",
    LLMPROXY_ADMIN_ADDR: "same",
    LLMPROXY_ADMIN_TOKEN: "0123456789abcdef",
    LLMPROXY_ADMIN_HOSTS: "Proxy.Internal, 10.0.0.7:8082",
    LLMPROXY_DATA_DIR: "/var/lib/llmproxy",
    LLMPROXY_LOG_LEVEL: "debug",
    LLMPROXY_AGENTSERVER_URL: "http://agentserver:9000",
    LLMPROXY_AGENTSERVER_TIMEOUT_SECONDS: "2",
    LLMPROXY_AGENTSERVER_GRACE_SECONDS: "0",
    LLMPROXY_TRACE_HEADER: "x-my-trace",
    LLMPROXY_CLIENT_IP_HEADER: "X-Real-IP",
    LLMPROXY_INFER_SESSION_HOURS: "0",
    LLMPROXY_ALLOW_PATHS: "/v1/files,/v1/messages/batches",
    LLMPROXY_CA_FILE: "/etc/ca.pem",
    ...{ LLMPROXY_UPSTREAM_IDLE_SECONDS: "30", LLMPROXY_UPSTREAM_WAIT_SECONDS: "20" },
    LLMPROXY_BODY_SECONDS: "7",
    ...CONNECTIONS,
    LLMPROXY_BODY_BUDGET_MB: "100",
    LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB: "50",
    LLMPROXY_DRAIN_LEAD_SECONDS: "0",
    LLMPROXY_DRAIN_SECONDS: "1",
    LLMPROXY_LEDGER_SYNC: "full",
    LLMPROXY_DATABASE_URL: "postgres://llmproxy:secret@db.internal/llmproxy?sslmode=verify-full",
    LLMPROXY_SPOOL_KEEP_HOURS: "2",
    LLMPROXY_SPOOL_MAX_MB: "10",
    LLMPROXY_SPOOL_FULL: "serve",
    LLMPROXY_TOKEN_GRACE_SECONDS: "60",
    LLMPROXY_RETENTION_DAYS: "90",
    ...{ LLMPROXY_DEFAULT_MAX_RPD: "9", LLMPROXY_RESERVE: "max", LLMPROXY_UNPRICED: "serve", LLMPROXY_QUEUE_SECONDS: "0" },
    ...GUARD,
  }, { "/etc/ca.pem": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n" }));
  const [{ credentials: [credential = assert.fail()], baseUrl } = assert.fail()] = config.upstreams;
  assert.deepEqual(credential.auth, { kind: "header", header: "authorization", value: "Bearer bearer-token" });
  assert.match(credential.id, /^auth-token-[0-9a-f]{8}$/);
  assert.deepEqual([baseUrl, credential.baseUrl], ["https://gateway.example/anthropic", "https://gateway.example/anthropic"]);
  assert.match(config.upstream.caCertificates ?? "", /BEGIN CERTIFICATE/);
  assert.deepEqual([config.upstream.idleMs, config.upstream.waitMs], [30_000, 20_000]);
  assert.deepEqual(config.proxy, {
    address: { hostname: "::1", port: 80 },
    traceHeader: "x-my-trace",
    clientIpHeader: "X-Real-IP",
    inferSessionMs: 0,
    allowPaths: ["/v1/files", "/v1/messages/batches"],
    bodyMs: 7_000,
    ...{ headMs: 8_000, keepAliveMs: 9_000, stallMs: 10_000, maxConnections: 11, brokenStream: "event" },
    bodyBudgetBytes: 104_857_600,
    bodyBudgetPerSandboxBytes: 52_428_800,
  });
  assert.deepEqual(config.limits, {
    ...{
      defaults: { rpd: 9, calls_per_minute: 60, cost_per_hour: 2_500_000_000 },
      reserve: "max",
      unpriced: "serve",
      queueMs: 0,
    },
    ...{ loopCalls: 20, pauseMs: 60_000, warnPercents: [50, 90], webhookUrl: GUARD.LLMPROXY_WEBHOOK_URL },
    webhookSecret: GUARD.LLMPROXY_WEBHOOK_SECRET,
  });
  assert.deepEqual(config.admin, {
    address: "same",
    token: "0123456789abcdef",
    viewerToken: null,
    hosts: ["proxy.internal", "10.0.0.7:8082"],
    isSecure: false,
  });
  assert.deepEqual(config.agentserver, { url: "http://agentserver:9000", timeoutMs: 2_000, graceMs: 0 });
  assert.deepEqual(config.storage, {
    dataDir: "/var/lib/llmproxy",
    sync: "full",
    database: {
      url: "postgres://llmproxy:secret@db.internal/llmproxy?sslmode=verify-full",
      tokenGraceMs: 60_000,
      spool: { keepMs: 7_200_000, maxBytes: 10_485_760, onFull: "serve" },
    },
    retentionMs: 90 * 86_400_000,
  });
  assert.deepEqual(config.drain, { leadMs: 0, runningMs: 1_000 });
  assert.equal(config.logLevel, "debug");
});

Deno.test("loadConfigFromEnv() reports all problems at once, each with name, value and what is expected", () => {
  const problems = problemsOf({ LLMPROXY_DRAIN_SECONDS: "two", LLMPROXY_LOG_LEVEL: "loud", LLMPROXY_LISTEN_ADDR: "8081" });
  assert.deepEqual(problems.toSorted(), [
    "Cannot call the upstream without a credential: set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN, or one's _FILE, or ANTHROPIC_API_KEYS_FILE, or LLMPROXY_UPSTREAMS_FILE",
    'Cannot read LLMPROXY_DRAIN_SECONDS as a whole number of seconds from 0 to 86400: current value is "two"',
    'Cannot read LLMPROXY_LISTEN_ADDR as an address such as :8081, 127.0.0.1:8081 or [::1]:8081: current value is "8081"',
    'Cannot read LLMPROXY_LOG_LEVEL as one of trace, debug, info, warn, error, fatal, silent: current value is "loud"',
  ]);
});

Deno.test("loadConfigFromEnv() reads a number of workers, and refuses the admin API on the listener of several", () => {
  const key = { ANTHROPIC_API_KEY: KEY };
  for (const [text, workers] of [["auto", "auto"], ["64", 64], ["1", 1]] as const) {
    assert.equal(loadConfigFromEnv(source({ ...key, LLMPROXY_WORKERS: text })).workers, workers);
  }
  assert.equal(loadConfigFromEnv(source({ ...key, LLMPROXY_ADMIN_ADDR: "same" })).workers, 1);
  for (const text of ["auto", "2"]) {
    const problems = problemsOf({ ...key, LLMPROXY_WORKERS: text, LLMPROXY_ADMIN_ADDR: "same" });
    assert.match(problems.join(), /^Cannot answer operators on the listener of several workers: .*current value is "same"$/);
  }
});

Deno.test("loadConfigFromEnv() takes the addresses that it should", () => {
  const taken = [
    [":0", "0.0.0.0", 0],
    ["127.0.0.1:8082", "127.0.0.1", 8082],
    ["[::]:65535", "::", 65535],
    ["proxy.internal:80", "proxy.internal", 80],
  ] as const;
  for (const [text, hostname, port] of taken) {
    const { proxy } = loadConfigFromEnv(
      source({ ANTHROPIC_API_KEY: KEY, LLMPROXY_LISTEN_ADDR: text, LLMPROXY_ADMIN_ADDR: "same" }),
    );
    assert.deepEqual(proxy.address, { hostname, port });
  }
});

Deno.test("loadConfigFromEnv() takes an empty variable as an unset one", () => {
  const config = loadConfigFromEnv(
    source({ ANTHROPIC_API_KEY: KEY, ANTHROPIC_AUTH_TOKEN: "", LLMPROXY_DRAIN_SECONDS: "", LLMPROXY_CA_FILE: "" }),
  );
  assert.equal(config.drain.runningMs, 120_000);
});

Deno.test("loadConfigFromEnv() refuses both credentials, from the environment or from files", () => {
  const both = ["Cannot use both ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN: unset one of them"];
  assert.deepEqual(problemsOf({ ANTHROPIC_API_KEY: KEY, ANTHROPIC_AUTH_TOKEN: "t" }), both);
  assert.deepEqual(problemsOf({ ANTHROPIC_API_KEY_FILE: "/key", ANTHROPIC_AUTH_TOKEN: "t" }, { "/key": KEY }), both);
});

Deno.test("loadConfigFromEnv() reads a secret from its file without the newline at the end", () => {
  const config = loadConfigFromEnv(source({ ANTHROPIC_API_KEY_FILE: "/key", LLMPROXY_ADMIN_TOKEN_FILE: "/admin" }, {
    "/key": `${KEY}\r\n`,
    "/admin": "0123456789abcdef\n",
  }));
  assert.equal(config.upstreams[0]!.credentials[0]!.secret, KEY);
  assert.equal(config.admin.token, "0123456789abcdef");
});

Deno.test("loadConfigFromEnv() names the variable and the path of a secret's file that is missing or empty", () => {
  assert.deepEqual(problemsOf({ ANTHROPIC_API_KEY_FILE: "/away" }), [
    'Cannot read the file that ANTHROPIC_API_KEY_FILE names: current value is "/away": no such file',
  ]);
  assert.deepEqual(problemsOf({ ANTHROPIC_API_KEY_FILE: "/empty" }, { "/empty": "\n" }), [
    'Cannot use the file that ANTHROPIC_API_KEY_FILE names: "/empty" is empty',
  ]);
});

Deno.test("loadConfigFromEnv() refuses a secret and its file together", () => {
  assert.deepEqual(problemsOf({ ANTHROPIC_API_KEY: KEY, ANTHROPIC_API_KEY_FILE: "/key" }, { "/key": KEY }), [
    "Cannot use both ANTHROPIC_API_KEY and ANTHROPIC_API_KEY_FILE: unset one of them",
  ]);
});

Deno.test("loadConfigFromEnv() never shows a secret, in any variable", () => {
  const secret = "hush-hush\u0007";
  for (const [name, row] of Object.entries(SETTINGS)) {
    if (row.isSecret) assert.ok(!problemsOf({ [name]: secret }).join().includes("hush"), name);
    assert.ok(!problemsOf({ [name]: "sk-ant-hush x" }).join().includes("hush"), name);
  }
  assert.ok(!problemsOf({ ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: "https://user:hush@x/?key=hush" }).join().includes("hush"));
  assert.ok(!problemsOf({ ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: "user:hush@x" }).join().includes("hush"));
  assert.ok(!problemsOf({ ANTHROPIC_API_KEY_FILE: KEY }).join().includes(KEY));
});

Deno.test("loadConfigFromEnv() refuses a shared database's URL that it cannot read, without showing it", () => {
  for (
    const url of ["mysql://u:hush@h/d", "postgres://u:hush@h/d?sslmode=maybe", "postgres://u:hush@h/d?hush=1&x=2", "postgres://"]
  ) {
    const problems = problemsOf({ ANTHROPIC_API_KEY: KEY, LLMPROXY_DATABASE_URL: url });
    assert.equal(problems.length, 1, url);
    assert.match(problems[0]!, /LLMPROXY_DATABASE_URL/);
    assert.ok(!problems[0]!.includes("u:hush"), problems[0]);
  }
});

Deno.test("loadConfigFromEnv() lets the larger default for one sandbox shrink with the budget", () => {
  const { proxy } = loadConfigFromEnv(source({ ANTHROPIC_API_KEY: KEY, LLMPROXY_BODY_BUDGET_MB: "64" }));
  assert.equal(proxy.bodyBudgetPerSandboxBytes, 64 * 1_048_576);
});

Deno.test("loadConfigFromEnv() warns of misspelt settings and of an unencrypted upstream, and starts", () => {
  const { warnings } = loadConfigFromEnv(source({
    ANTHROPIC_API_KEY: KEY,
    ANTHROPIC_MODEL: "claude",
    ANTHROPIC_BASE_URL: "http://gateway.internal",
    LLMPROXY_DRAIN_SECOND: "5",
    LLMPROXY_LOG_LEVEL_FILE: "/x",
  }));
  assert.equal(warnings.length, 3);
  assert.match(warnings[0]!, /^LLMPROXY_DRAIN_SECOND is not a setting/);
  assert.match(warnings[1]!, /^LLMPROXY_LOG_LEVEL_FILE is not a setting/);
  assert.match(warnings[2]!, /unencrypted/);
  assert.deepEqual(loadConfigFromEnv(source({ ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: "http://127.0.0.1:9" })).warnings, []);
});

Deno.test("loadStorageConfig() takes systemd's folder if LLMPROXY_DATA_DIR is unset", () => {
  assert.equal(loadStorageConfig(source({ STATE_DIRECTORY: "/var/lib/llmproxy:/var/lib/other" })).dataDir, "/var/lib/llmproxy");
  assert.equal(loadStorageConfig(source({ STATE_DIRECTORY: "/var/lib/llmproxy", LLMPROXY_DATA_DIR: "/d" })).dataDir, "/d");
  assert.equal(loadStorageConfig(source({})).dataDir, "./data");
});

Deno.test("loadClientConfig() asks for no credential of the upstream", () => {
  assert.deepEqual(loadClientConfig(source({})), {
    proxyAddress: { hostname: "0.0.0.0", port: 8081 },
    adminUrl: null,
    caCertificates: null,
    admin: { address: { hostname: "127.0.0.1", port: 8082 }, token: null, viewerToken: null, hosts: [], isSecure: false },
    dataDir: "./data",
  });
});

Deno.test("readSecrets() reads the files again", () => {
  const files: Record<string, string> = { "/key": "first" };
  const changing = source({ ANTHROPIC_API_KEY_FILE: "/key" }, files);
  const before = readSecrets(changing);
  files["/key"] = "second\n";
  const after = readSecrets(changing);
  const [first, second] = [before, after].map(({ upstreams }) => upstreams[0]!.credentials[0]!);
  assert.deepEqual([first!.secret, second!.secret], ["first", "second"]);
  assert.notEqual(first!.id, second!.id);
  delete files["/key"];
  assert.throws(() => readSecrets(changing), ConfigProblems);
});

const SECRETS = [
  ["ANTHROPIC_API_KEY", "sk-ant-hush"],
  ["ANTHROPIC_AUTH_TOKEN", "hush-token"],
  ["LLMPROXY_ADMIN_TOKEN", "hush-0123456789abcdef"],
  ["LLMPROXY_DATABASE_URL", "postgres://u:hush@db/db"],
] as const;

/** How copied secrets go wrong, and the words for a variable; for a file too, unless it is null. */
const FAULTS: readonly (readonly [broken: (secret: string, name: string) => string, says: RegExp, ofFile?: null])[] = [
  [(secret) => `\uFEFF${secret}`, /begins with a byte order mark \(BOM\)/],
  [(secret) => [...secret].join("\0"), /is not UTF-8 text, perhaps UTF-16/],
  [() => " \t", /is nothing but white space/],
  [(secret, name) => `${name}=${secret}`, /begins with the setting's name and =/],
  [(secret, name) => `export ${name}="${secret}"`, /begins with the setting's name and =/],
  [(secret) => `${secret}\n`, /ends with a line break/, null],
  [(secret) => `${secret}\r\n`, /ends with a line break/, null],
  [(secret) => `\n${secret}`, /begins with a line break/, null],
  [(secret) => `${secret}\n${secret}\n`, /has a line break in the middle/],
  [(secret) => `${secret}\r\n${secret}`, /has a line break in the middle/],
  [(secret) => `"${secret}"`, /stands in quotes/],
  [(secret) => `'${secret}'`, /stands in quotes/],
  [(secret) => `\u201c${secret}\u201d`, /stands in quotes/],
  [(secret) => `Bearer ${secret}`, /begins with "Bearer "/],
  [(secret) => `x-api-key: ${secret}`, /begins with the name of a header/],
  [(secret) => `psql '${secret}'`, /begins with psql/],
  [(secret) => ` ${secret}`, /begins with a blank or a tab/],
  [(secret) => `${secret}\t`, /ends with a blank or a tab/],
  [(secret) => `${secret} x`, /has a blank in the middle/],
  [(secret) => `${secret}\tx`, /has a tab in the middle/],
  [(secret) => `hu\u200b${secret}`, /its character 3 is U\+200B, which cannot be in it/],
];

Deno.test("loadConfigFromEnv() says what is wrong with a secret, of its variable and of its file, and shows nothing of it", () => {
  for (const [name, secret] of SECRETS) {
    const others: Record<string, string> = name.startsWith("ANTHROPIC") ? {} : { ANTHROPIC_API_KEY: KEY };
    for (const [broken, says, ofFile] of FAULTS) {
      const text = broken(secret, name);
      const problems = problemsOf({ ...others, [name]: text });
      assert.equal(problems.length, 1, `${name}: ${problems}`);
      assert.match(problems[0]!, new RegExp(`^Cannot use ${name}: it.*`), JSON.stringify(text));
      assert.match(problems[0]!, says);
      assert.ok(!problems[0]!.includes("hush"), problems[0]);
      if (ofFile === null) continue;
      const inFile = problemsOf({ ...others, [`${name}_FILE`]: "/f" }, { "/f": `${text}\n` });
      assert.deepEqual(inFile, [problems[0]!.replace(name, `the file that ${name}_FILE names`)]);
    }
    const sound = loadConfigFromEnv(source({ ...others, [`${name}_FILE`]: "/f" }, { "/f": `\n${secret}\r\n` }));
    assert.ok(JSON.stringify(sound).includes(secret), name);
    assert.match(problemsOf({ ...others, [`${name}_FILE`]: "/f" }, { "/f": "\n" }).join(), /"\/f" is empty/);
  }
});

Deno.test("loadConfigFromEnv() refuses a base URL that holds what the proxy adds to it, and says what to remove", () => {
  for (
    const [url, path] of [
      ["https://api.anthropic.com/v1", "/v1"],
      ["https://api.anthropic.com/v1/", "/v1"],
      ["https://api.anthropic.com/v1//", "/v1"],
      ["https://gateway.example/anthropic/v1", "/v1"],
      ["https://api.anthropic.com/v1/messages", "/v1/messages"],
      ["https://api.anthropic.com/v1/messages/count_tokens", "/v1/messages/count_tokens"],
    ] as const
  ) {
    assert.deepEqual(problemsOf({ ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: url }), [
      `Cannot use ANTHROPIC_BASE_URL: remove ${path}, the proxy adds it itself: current value is ${JSON.stringify(url)}`,
    ]);
  }
  for (const url of ["https://g.example/v1/acme/anthropic", "https://g.example/v12", "https://v1.example"]) {
    assert.equal(loadConfigFromEnv(source({ ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: url })).upstreams[0]!.baseUrl, url);
  }
  for (const path of ["/internal", "/internal/validate-proxy-token"]) {
    const problems = problemsOf({ ANTHROPIC_API_KEY: KEY, LLMPROXY_AGENTSERVER_URL: `http://control.plane${path}` });
    assert.match(problems.join(), new RegExp(`^Cannot use LLMPROXY_AGENTSERVER_URL: remove ${path}, `));
  }
});
