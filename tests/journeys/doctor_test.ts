/** `llmproxy doctor`: what it finds in a sound installation, and with each thing that is wrong. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { startFakeAgentserver } from "../fake_agentserver.ts";
import { failing, json } from "../fake_answers.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { CLIENT_ID, CLIENT_SECRET, startOpenIdProvider } from "../openid_provider.ts";
import { startPostgres } from "../postgres_server.ts";
import { runCommandLine, startProxyProcess } from "../proxy_process.ts";
import { OPERATOR_KEY, settingsOf } from "../proxy_under_test.ts";
import { onTerminal, plain } from "../terminal.ts";

interface Found {
  readonly check: string;
  readonly state: string;
  readonly says: string;
  readonly advice: string | null;
}

const ADMIN_TOKEN = "admin-token-of-the-doctor-0123456789";

const postgres = await startPostgres();
Deno.test.afterAll(async () => await postgres[Symbol.asyncDispose]());

Deno.test("doctor finds nothing wrong with a proxy that runs on PostgreSQL, on a terminal and in a pipe", async () => {
  await using upstream = await startFakeUpstream();
  await using agentserver = startFakeAgentserver();
  upstream.answer(() => models());
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const env = { LLMPROXY_DATABASE_URL: await postgres.newDatabase(), LLMPROXY_AGENTSERVER_URL: agentserver.url };
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
    const { code, stdout, stderr } = await runCommandLine(["doctor"], proxy.env);
    assert.deepEqual([code, stderr], [0, ""], stdout);
    for (
      const line of [
        /^ok +settings +\d+ settings are set, and all can be read$/m,
        /^ok +data directory +\S+ can be written$/m,
        /^ok +database +PostgreSQL 1\d\.\d+ answers, and the role has the rights that it needs$/m,
        /^ok +database +The shared database is up to date \(schema version \d+\)$/m,
        /^ok +clock +This machine's clock agrees with PostgreSQL's$/m,
        /^ok +credential +api-key-[0-9a-f]{8} at http:\/\/127\.0\.0\.1:\d+ is good \(200 in \d+ ms\)$/m,
        /^ok +clock +This machine's clock agrees with the upstream's$/m,
        /^ok +control plane +http:\/\/127\.0\.0\.1:\d+ answers, and refuses a token that no one has$/m,
        /^ok +proxy +The proxy at http:\/\/127\.0\.0\.1:\d+ serves and records calls$/m,
        /^ok +proxy +Its admin API takes the token of these settings$/m,
        /\nNothing failed, \d+ warnings?\.\n$/,
      ]
    ) assert.match(stdout, line);
    const [asked] = upstream.calls;
    assert.deepEqual([asked!.target, asked!.header("x-api-key")], ["/v1/models?limit=1", OPERATOR_KEY]);
    const shown = await onTerminal(["doctor"], { env: proxy.env });
    assert.equal(shown.code, 0);
    const steady = (text: string) => text.replaceAll(/\d+ ms|[\d.]+ GB/g, "N");
    assert.equal(steady(plain(shown.written).replaceAll("\r\n", "\n")), steady(stdout));
    assert.equal((await runCommandLine(["doctor", "--json"], { ...proxy.env, LLMPROXY_ADMIN_TOKEN: "x".repeat(20) })).code, 1);
  }
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test("doctor names what is wrong, says what to do, exits with 1, and shows no secret", async (t) => {
  await using upstream = await startFakeUpstream();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const base = settingsOf(upstream.url, dataDir, { LLMPROXY_ADMIN_TOKEN: ADMIN_TOKEN, LLMPROXY_LISTEN_ADDR: "127.0.0.1:1" });
  const find = (env: Readonly<Record<string, string>> = {}) => examined({ ...base, ...env });

  await t.step("a credential that the upstream refuses, or whose upstream is away", async () => {
    upstream.answer((call) => failing(401)(call));
    const [refused] = failedOf(await find(), "credential");
    assert.match(refused!.says, /^api-key-\w+ at \S+: the upstream refuses it \(401 in \d+ ms\)$/);
    assert.match(refused!.advice!, /Replace the key/);
    upstream.answer(() => models());
    const file = `${dataDir}/keys.json`;
    await Deno.writeTextFile(
      file,
      JSON.stringify([{ name: "good", key: OPERATOR_KEY }, {
        name: "away",
        key: `${OPERATOR_KEY}2`,
        baseUrl: "http://127.0.0.1:1",
      }]),
    );
    const found = await find({ ANTHROPIC_API_KEY: "", ANTHROPIC_API_KEYS_FILE: file });
    assert.deepEqual(found.filter(({ check }) => check === "credential").map(({ state }) => state), ["ok", "failed"]);
    assert.match(failedOf(found, "credential")[0]!.says, /127\.0\.0\.1:1 cannot be reached/);
    const files = (all: readonly Found[]) =>
      all.filter(({ check }) => check === "secret file").map(({ state, says }) => [state, says]);
    assert.deepEqual(files(found), [[
      "warning",
      "Every user of this machine may read the file that ANTHROPIC_API_KEYS_FILE names",
    ]]);
    await Deno.chmod(file, 0o600);
    assert.deepEqual(files(await find({ ANTHROPIC_API_KEY: "", ANTHROPIC_API_KEYS_FILE: file })), [
      ["ok", "No other user may read the file that ANTHROPIC_API_KEYS_FILE names"],
    ]);
  });
  await t.step("credentials of a file of upstreams, each by the name of its upstream", async () => {
    const [file, key] = [`${dataDir}/upstreams.json`, `${OPERATOR_KEY}3`];
    const at = (name: string, baseUrl: string) => ({
      name,
      dialect: "anthropic",
      baseUrl,
      credentials: [{ name: `${name}-key`, key }],
    });
    await Deno.writeTextFile(file, JSON.stringify([at("near", upstream.url), at("away", "http://127.0.0.1:1")]), { mode: 0o600 });
    upstream.answer((call) => call.header("x-api-key") === key ? failing(401)(call) : models());
    const found = await find({ LLMPROXY_UPSTREAMS_FILE: file });
    const says = (state: string) =>
      found.filter((one) => one.check === "credential" && one.state === state).map((one) => one.says);
    assert.match(says("ok").join("\n"), /^anthropic: api-key-\w+ at \S+ is good \(200 in \d+ ms\)$/);
    const [refused, away, ...others] = says("failed");
    assert.match(refused!, /^near: near-key at \S+: the upstream refuses it \(401 in \d+ ms\)$/);
    assert.match(away!, /^away: away-key: http:\/\/127\.0\.0\.1:1 cannot be reached: /);
    assert.deepEqual(others, []);
    const warnings = found.filter(({ check, state }) => check === "settings" && state === "warning");
    assert.ok(warnings.some((one) => one.says.startsWith("The upstream near takes no call: anthropic, which is before it")));
    upstream.answer(() => models());
  });
  await t.step("keys of AWS and of Google: whether they sign and mint, and whether the upstream takes them", async () => {
    const file = `${dataDir}/upstreams.json`;
    const key = serviceAccount("http://127.0.0.1:1/token");
    await Deno.writeTextFile(`${dataDir}/google.json`, key, { mode: 0o600 });
    const aws = { accessKeyId: "AKIA0000000000EXAMPLE", secretAccessKey: `${OPERATOR_KEY}4` };
    const google = { serviceAccountFile: `${dataDir}/google.json` };
    const entries = [
      { name: "bedrock", dialect: "bedrock", region: "us-east-1", baseUrl: upstream.url, credentials: [{ name: "signed", aws }] },
      {
        ...{ name: "vertex", dialect: "vertex", project: "acme", locations: ["us-east5"], baseUrl: `${upstream.url}/{location}` },
        credentials: [{ name: "account", google }],
      },
    ];
    await Deno.writeTextFile(file, JSON.stringify(entries));
    const answers = ["UnrecognizedClientException:", "AccessDeniedException:"];
    const unknown = { status: 403, headers: { "content-type": "application/json" }, body: '{"message":"no"}' };
    for (const type of answers) {
      upstream.answer(() => ({ ...unknown, headers: { ...unknown.headers, "x-amzn-errortype": type } }));
      const found = (await find({ LLMPROXY_UPSTREAMS_FILE: file, ANTHROPIC_API_KEY: "" })).filter((one) =>
        one.check === "credential"
      );
      const [bedrock, vertex] = ["bedrock", "vertex"].map((name) => found.find(({ says }) => says.startsWith(`${name}: `))!);
      assert.match(
        bedrock!.says,
        type === answers[0] ? /: the upstream refuses it \(403/ : / may not list inference profiles \(403/,
      );
      assert.equal(bedrock!.state, type === answers[0] ? "failed" : "warning");
      assert.match(vertex!.says, /^vertex: account cannot pay: /);
      assert.match(vertex!.advice!, /^Check the key of the service account/);
      assert.ok(!JSON.stringify(found).includes("PRIVATE KEY"));
    }
    const [asked] = upstream.calls.slice(-1);
    assert.equal(asked!.target, "/inference-profiles?maxResults=1");
    assert.match(
      asked!.header("authorization")!,
      /^AWS4-HMAC-SHA256 Credential=AKIA0000000000EXAMPLE\/\d{8}\/us-east-1\/bedrock\//,
    );
    upstream.answer(() => models());
  });
  await t.step("a clock that is wrong", async () => {
    upstream.answer(() => models(new Date(Date.now() - 3_600_000)));
    const [clock] = failedOf(await find(), "clock");
    assert.match(clock!.says, /^This machine's clock is 36\d\d s ahead of the upstream's$/);
    upstream.answer(() => models());
  });
  await t.step("a control plane that is away, one that answers for another, and one that accepts anything", async () => {
    const away = await find({ LLMPROXY_AGENTSERVER_URL: "http://127.0.0.1:1" });
    assert.match(failedOf(away, "control plane")[0]!.says, /does not say whether a token is good/);
    await using agentserver = startFakeAgentserver();
    agentserver.answer({ kind: "status", status: 404 });
    const other = await find({ LLMPROXY_AGENTSERVER_URL: agentserver.url });
    assert.match(failedOf(other, "control plane")[0]!.says, /status 404, but no JSON/);
    agentserver.answer({ kind: "body", body: '{"sandbox_id":"s","workspace_id":"w","status":"running"}' });
    const open = await find({ LLMPROXY_AGENTSERVER_URL: agentserver.url });
    assert.match(failedOf(open, "control plane")[0]!.says, /accepts a token that no one has/);
  });
  await t.step("an OpenID provider that is away, one of another name, and one that is as the settings say", async () => {
    await using provider = await startOpenIdProvider("http://localhost:1/dashboard/oidc/callback");
    const findAt = async (issuer: string) => {
      const found = await find({
        LLMPROXY_DASHBOARD_URL: "http://localhost:1",
        LLMPROXY_OIDC_ISSUER: issuer,
        LLMPROXY_OIDC_CLIENT_ID: CLIENT_ID,
        LLMPROXY_OIDC_CLIENT_SECRET: CLIENT_SECRET,
        LLMPROXY_OIDC_ADMINS: "ada@corp.example",
      });
      const { state, says } = found.find(({ check }) => check === "OpenID provider")!;
      return `${state}: ${says}`;
    };
    assert.equal(await findAt(provider.issuer), `ok: ${provider.issuer} answers, and calls itself so`);
    provider.wrongs.issuer = "https://another.example";
    assert.match(
      await findAt(provider.issuer),
      /^warning: No one can sign in at .*: the provider calls itself https:\/\/another\.example$/,
    );
    assert.match(await findAt("http://localhost:1"), /^warning: No one can sign in at http:\/\/localhost:1: /);
  });
  await t.step("a database that refuses the login, is not there, or whose tables another role owns", async () => {
    const url = new URL(await postgres.newDatabase());
    const wrong = new URL(url);
    wrong.password = "a-wrong-password-0123";
    wrong.username = "no-such-role";
    assert.match(failedOf(await find({ LLMPROXY_DATABASE_URL: wrong.href }), "database")[0]!.says, /refuses the login/);
    const nowhere = new URL(url);
    nowhere.port = "1";
    assert.equal(failedOf(await find({ LLMPROXY_DATABASE_URL: nowhere.href }), "database").length, 1);
    assert.deepEqual(failedOf(await find({ LLMPROXY_DATABASE_URL: url.href }), "database"), []);
    await postgres.psql(
      `CREATE ROLE doctor_reader LOGIN PASSWORD 'of-the-reader-0123'; CREATE TABLE traces (x INT); REVOKE CREATE ON SCHEMA public FROM PUBLIC`,
      url.href,
    );
    url.username = "doctor_reader";
    url.password = "of-the-reader-0123";
    const found = failedOf(await find({ LLMPROXY_DATABASE_URL: url.href }), "database");
    assert.deepEqual(found.map(({ says }) => says), [
      "The role may not create tables in the schema public",
      "Another role owns traces",
    ]);
  });
  await t.step("files of the data directory that others can read, and an embedded database that is damaged", async () => {
    await Deno.writeTextFile(`${dataDir}/admin-token`, "an-admin-token-that-others-read", { mode: 0o644 });
    await Deno.chmod(`${dataDir}/admin-token`, 0o644);
    await Deno.writeTextFile(`${dataDir}/llmproxy.db`, "this is no database, but long enough to look like one".repeat(20), {
      mode: 0o600,
    });
    // No other user gets into a directory of mode 0700, as the proxy makes it.
    assert.deepEqual(failedOf(await find(), "data directory"), []);
    await Deno.chmod(dataDir, 0o755);
    const found = await find();
    assert.match(failedOf(found, "data directory")[0]!.says, /^Other users of this machine can read admin-token in /);
    assert.match(failedOf(found, "data directory")[0]!.advice!, /^chmod go-rwx \S+\/admin-token;/);
    assert.match(failedOf(found, "database")[0]!.says, /llmproxy\.db cannot be read: file is not a database$/);
  });
  await t.step("settings that cannot be read, and what can be looked at without them", async () => {
    const found = await find({ LLMPROXY_DRAIN_SECONDS: "two", LLMPROXY_LOG_LEVEL: "loud" });
    assert.deepEqual(failedOf(found, "settings").map(({ says }) => says.split(" as ")[0]), [
      "Cannot read LLMPROXY_DRAIN_SECONDS",
      "Cannot read LLMPROXY_LOG_LEVEL",
    ]);
    assert.deepEqual(found.filter(({ state }) => state === "skipped").map(({ check }) => check), [
      "credential",
      "control plane",
      "OpenID provider",
      "proxy",
    ]);
    assert.equal(failedOf(found, "data directory").length, 1);
  });
  await Deno.remove(dataDir, { recursive: true });
});

/** Runs doctor, which must fail or not as its findings say, and must show no secret. */
async function examined(env: Readonly<Record<string, string>>): Promise<readonly Found[]> {
  const { code, stdout, stderr } = await runCommandLine(["doctor", "--json"], env);
  const { findings } = JSON.parse(stdout) as { findings: readonly Found[] };
  assert.equal(code, findings.some(({ state }) => state === "failed") ? 1 : 0, stderr);
  for (const secret of [OPERATOR_KEY, ADMIN_TOKEN, "a-wrong-password", "of-the-reader", "in-tests-only", CLIENT_SECRET]) {
    assert.ok(!(stdout + stderr).includes(secret), `${secret} is shown`);
  }
  return findings;
}

function failedOf(findings: readonly Found[], check: string): readonly Found[] {
  return findings.filter((finding) => finding.check === check && finding.state === "failed");
}

function models(date = new Date()): ReturnType<typeof json> {
  const answer = json({ data: [], has_more: false });
  return { ...answer, headers: { ...answer.headers, date: date.toUTCString() } };
}

/** The JSON key of a service account whose tokens are minted there. */
function serviceAccount(tokenUrl: string): string {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return JSON.stringify({
    ...{ type: "service_account", client_email: "proxy@acme.iam.gserviceaccount.com", token_uri: tokenUrl },
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
  });
}
