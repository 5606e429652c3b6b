import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { assertRefusal } from "../bad_input.ts";
import { NO_SUCH_TOKEN, NOBODYS_WORD } from "../control_plane_words.ts";
import { type AgentserverScript, type FakeAgentserver, startFakeAgentserver } from "../fake_agentserver.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { waitFor } from "../wait.ts";

const TOKEN = "token-of-sandbox-1";
const STRANGER = "token-of-nobody";
const RUNNING = { sandbox_id: "sb-1", workspace_id: "ws-1", status: "running" };
const POSITIVE_MS = 30_000;
const NEGATIVE_MS = 5_000;
const GRACE_MS = 5 * 60_000;
/** While grace carries a token, the control plane is asked about it this often. */
const RETRY_MS = 1_000;
const CROWD = 200;
const NO_SANDBOX = "unauthenticated undefined";

const INACTIVE = { status: 403, type: "permission_error" };
const UNKNOWN = { status: 401, type: "authentication_error" };
const OUTAGE = { status: 503, type: "api_error" };
type Refusal = typeof OUTAGE;

const OUTAGES: Readonly<Record<string, AgentserverScript>> = {
  ...Object.fromEntries(
    [201, 204, 400, 403, 405, 429, 500, 502, 503].map((status) => [`status ${status}`, { kind: "status", status }]),
  ),
  "a redirect": { kind: "redirect", location: "/elsewhere" },
  "an answer that breaks off": { kind: "reset" },
  "nothing": { kind: "body", body: "" },
  "HTML": { kind: "body", body: "<html>Sign in</html>" },
  "null": { kind: "body", body: "null" },
  "a list": { kind: "body", body: "[]" },
  "no status": { kind: "body", body: JSON.stringify({ ...RUNNING, status: undefined }) },
  "an empty sandbox": { kind: "body", body: JSON.stringify({ ...RUNNING, sandbox_id: "" }) },
  "a workspace that is a number": { kind: "body", body: JSON.stringify({ ...RUNNING, workspace_id: 7 }) },
  "200 KB": { kind: "body", body: JSON.stringify({ ...RUNNING, more: "x".repeat(200_000) }) },
};

for (const status of ["running", "creating"]) {
  Deno.test(`the proxy serves a sandbox that is ${status}, and records it as the control plane names it`, () =>
    inScene(async ({ control, proxy, serves }) => {
      control.sandboxes.set(TOKEN, { ...RUNNING, status });
      await serves(TOKEN);
      const [row] = await proxy.closedRows(1);
      assert.deepEqual([row!.sandbox_id, row!.workspace_id, row!.token_id, row!.outcome], ["sb-1", "ws-1", null, "completed"]);
      const [lookUp] = control.lookUps;
      assert.equal(`${lookUp!.method} ${lookUp!.path}`, "POST /internal/validate-proxy-token");
      assert.deepEqual(lookUp!.body, { proxy_token: TOKEN });
    }));
}

Deno.test("the proxy answers 403 to a sandbox of any other status, and sends nothing of it upstream", () =>
  inScene(async ({ control, refuses }) => {
    for (const [n, status] of ["stopped", "paused", "deleted", "error", "RUNNING", "running "].entries()) {
      control.sandboxes.set(`token-${n}`, { ...RUNNING, status });
      const answer = await refuses(`token-${n}`, INACTIVE);
      assert.equal(JSON.parse(answer.body).error.message, "sandbox not active");
    }
  }));

Deno.test("the proxy answers 401 if the control plane itself says that it knows no such token", () =>
  inScene(async ({ control, refuses }) => {
    for (const [n, script] of Object.values(NO_SUCH_TOKEN).entries()) {
      control.answer(script);
      await refuses(`token-${n}`, UNKNOWN);
    }
  }));

Deno.test("the proxy keeps a known-good token and answers 503 to a new one while the ingress answers in the control plane's place", () =>
  inScene(async ({ control, pass, serves, refuses }) => {
    await serves(TOKEN);
    for (const [n, name] of ["Traefik's and Go's 404", "NestJS' 404", "nginx' password", "another server's 200"].entries()) {
      control.answer(NOBODYS_WORD[name]!);
      pass(POSITIVE_MS);
      await serves(TOKEN);
      await refuses(`token-${n}`, OUTAGE);
      control.answer({ kind: "truth" });
      pass(RETRY_MS);
      await serves(TOKEN);
      await refuses(`token-${n}`, UNKNOWN);
    }
  }));

Deno.test("the proxy counts a refusal under the sandbox whose token it is or was, and logs it so", () =>
  inScene(async ({ control, proxy, refuses }) => {
    const revoked = await proxy.token("ws-local", "sb-revoked");
    const { tokens } = await proxy.ask("/internal/tokens") as { tokens: readonly { readonly id: string }[] };
    const revoking = await fetch(`${proxy.adminUrl}/internal/tokens/${tokens[0]!.id}`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${proxy.adminToken}` },
    });
    assert.equal(revoking.status, 200, await revoking.text());
    control.sandboxes.set(TOKEN, { ...RUNNING, status: "stopped" });
    await refuses(TOKEN, INACTIVE);
    await refuses(revoked, UNKNOWN);
    await refuses(STRANGER, UNKNOWN);

    const lines = proxy.logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg === "refused");
    const named = new Set(lines.map(({ fault, workspaceId, sandboxId }) => `${fault} ${workspaceId} ${sandboxId}`));
    assert.deepEqual(
      named,
      new Set(["sandbox_inactive ws-1 sb-1", "unauthenticated ws-local sb-revoked", `${NO_SANDBOX} undefined`]),
    );
    // What was counted is written at the end.
    await proxy.running.stop();
    assert.deepEqual(refusalsIn(proxy.dataDir), [
      "sandbox_inactive ws-1 sb-1 3",
      "unauthenticated   3",
      "unauthenticated ws-local sb-revoked 3",
    ]);
  }));

Deno.test("the proxy answers 503 with retry-after to every sort of rubbish, keeps none of it and serves as soon as it ends", (t) =>
  inScene(async ({ control, serves, refuses }) => {
    for (const [name, script] of Object.entries(OUTAGES)) {
      await t.step(`the control plane answers ${name}`, async () => {
        const token = `token for ${name}`.replaceAll(" ", "-");
        control.sandboxes.set(token, RUNNING);
        control.answer(script);
        await refuses(token, OUTAGE);
        await refuses(token, OUTAGE);
        control.answer({ kind: "truth" });
        await serves(token);
      });
    }
  }));

Deno.test("the proxy answers 503 while the control plane is down, and serves as soon as it is up", () =>
  inScene(async ({ control, proxy, serves, refuses }) => {
    await control.goAway();
    await refuses(TOKEN, OUTAGE);
    await refuses(STRANGER, OUTAGE);
    control.comeBack();
    await serves(TOKEN);
    await refuses(STRANGER, UNKNOWN);
    const said = proxy.logs.map((line) => JSON.parse(line)).filter(({ msg }) => /^the control plane/.test(msg));
    assert.deepEqual(said.map(({ level }) => level), ["warn", "info"]);
  }));

Deno.test("the proxy waits for a control plane that is slow, and answers 503 to one that is slower than its timeout", () =>
  inScene(async ({ control, serves, refuses }) => {
    const release = control.hold();
    const served = serves(TOKEN);
    await waitFor(() => control.lookUps.length === 1, { what: "the lookup" });
    release();
    await served;
    const releaseLate = control.hold();
    await refuses(STRANGER, OUTAGE);
    releaseLate();
    await refuses(STRANGER, UNKNOWN);
  }, { LLMPROXY_AGENTSERVER_TIMEOUT_SECONDS: "2" }));

Deno.test("the proxy asks about a good token once in 30 s", () =>
  inScene(async ({ control, pass, serves }) => {
    await serves(TOKEN);
    control.sandboxes.delete(TOKEN);
    pass(POSITIVE_MS - 1);
    await serves(TOKEN);
    assert.equal(control.lookUpsOf(TOKEN), 1);
    control.sandboxes.set(TOKEN, RUNNING);
    pass(1);
    await serves(TOKEN);
    assert.equal(control.lookUpsOf(TOKEN), 2);
  }));

for (const [name, refusal, status] of [["unknown", UNKNOWN, null], ["inactive", INACTIVE, "stopped"]] as const) {
  Deno.test(`the proxy asks about a token that is ${name} once in 5 s`, () =>
    inScene(async ({ control, pass, serves, refuses }) => {
      become(control, status);
      await refuses(TOKEN, refusal);
      control.sandboxes.set(TOKEN, RUNNING);
      pass(NEGATIVE_MS - 1);
      await refuses(TOKEN, refusal);
      assert.equal(control.lookUpsOf(TOKEN), 1);
      pass(1);
      await serves(TOKEN);
      assert.equal(control.lookUpsOf(TOKEN), 2);
    }));

  Deno.test(`the proxy refuses a token that became ${name} as soon as it has asked, and grace does not bring it back`, () =>
    inScene(async ({ control, pass, serves, refuses }) => {
      await serves(TOKEN);
      become(control, status);
      pass(POSITIVE_MS);
      await refuses(TOKEN, refusal);
      await control.goAway();
      await refuses(TOKEN, refusal);
      pass(NEGATIVE_MS - 1);
      await refuses(TOKEN, refusal);
      pass(1);
      await refuses(TOKEN, OUTAGE);
      control.comeBack();
      await refuses(TOKEN, refusal);
    }));

  Deno.test(`the proxy hears of a token that became ${name} during an outage when the control plane is back`, () =>
    inScene(async ({ control, proxy, pass, serves, refuses }) => {
      await serves(TOKEN);
      await control.goAway();
      pass(POSITIVE_MS);
      await serves(TOKEN);
      become(control, status);
      control.comeBack();
      pass(RETRY_MS);
      // Grace may carry a call if its lookup takes too long, but not the next one.
      await waitFor(async () => (await answerTo(proxy, TOKEN)).status !== 200, { what: "the revocation to be heard of" });
      await refuses(TOKEN, refusal);
    }));
}

Deno.test("the proxy serves a known-good token for 5 min while the control plane is away, and no other token", () =>
  inScene(async ({ control, pass, serves, refuses }) => {
    await serves(TOKEN);
    await control.goAway();
    pass(POSITIVE_MS);
    await serves(TOKEN);
    await refuses(STRANGER, OUTAGE);
    pass(GRACE_MS - POSITIVE_MS - 1);
    await serves(TOKEN);
    pass(1);
    await refuses(TOKEN, OUTAGE);
    control.comeBack();
    await serves(TOKEN);
  }));

Deno.test("the proxy serves a known-good token through every sort of rubbish, and starts grace again when it is vouched for again", () =>
  inScene(async ({ control, pass, serves }) => {
    await serves(TOKEN);
    for (const script of Object.values(OUTAGES)) {
      control.answer(script);
      pass(GRACE_MS - 1);
      await serves(TOKEN);
      control.answer({ kind: "truth" });
      pass(RETRY_MS);
      await serves(TOKEN);
    }
  }));

Deno.test("the proxy makes one lookup of 200 concurrent first calls with one token, and serves them all", () =>
  inScene(async ({ control, proxy, crowd }) => {
    const answers = await crowd(TOKEN);
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.equal(control.lookUps.length, 1);
    const rows = await proxy.closedRows(CROWD);
    assert.deepEqual(rows.map(({ sandbox_id, outcome }) => `${sandbox_id} ${outcome}`), Array(CROWD).fill("sb-1 completed"));
    assert.equal(proxy.upstream.calls.length, CROWD);
  }, { LLMPROXY_AGENTSERVER_TIMEOUT_SECONDS: "60" }));

for (
  const [name, script, refusal] of [
    ["fails", { kind: "status", status: 500 }, OUTAGE],
    ["finds no sandbox", { kind: "status", status: 401 }, UNKNOWN],
  ] as const
) {
  Deno.test(`the proxy answers ${refusal.status} to 200 concurrent calls by one lookup that ${name}`, () =>
    inScene(async ({ control, proxy, crowd }) => {
      control.answer(script);
      for (const answer of await crowd(TOKEN)) assertRefusal(answer, refusal);
      assert.equal(control.lookUps.length, 1);
      assert.deepEqual([proxy.upstream.calls.length, proxy.rows().length], [0, 0]);
    }, { LLMPROXY_AGENTSERVER_TIMEOUT_SECONDS: "60" }));
}

Deno.test("the proxy asks the control plane nothing of local tokens and serves them while it is away", () =>
  inScene(async ({ control, proxy, serves, refuses }) => {
    const local = await proxy.token();
    await control.goAway();
    await serves(local);
    await refuses(`${local}x`, UNKNOWN);
    control.comeBack();
    await refuses("llmp_made-up", UNKNOWN);
    assert.equal(control.lookUps.length, 0);
  }));

Deno.test("the proxy that has no control plane answers 401 to every token but its own", async () => {
  await using proxy = await startProxy();
  assertRefusal(await answerTo(proxy, TOKEN), UNKNOWN);
  assert.equal((await answerTo(proxy, await proxy.token())).status, 200);
});

/** Counters of refusals as they stand in the database: fault, workspace, sandbox and count. */
function refusalsIn(dataDir: string): readonly string[] {
  const database = new DatabaseSync(`${dataDir}/llmproxy.db`, { readOnly: true });
  try {
    const rows = database.prepare("SELECT fault, workspace_id, sandbox_id, sum(count) AS total FROM refusals GROUP BY 1, 2, 3")
      .all();
    return rows.map((row) => [row.fault, row.workspace_id, row.sandbox_id, row.total].join(" ")).toSorted();
  } finally {
    database.close();
  }
}

type Answer = Awaited<ReturnType<typeof answerTo>>;

interface Scene {
  readonly control: FakeAgentserver;
  readonly proxy: ProxyUnderTest;
  /** Lets the proxy's clock go on; otherwise it stands still. */
  readonly pass: (ms: number) => void;
  readonly serves: (token: string) => Promise<void>;
  /** On each kind of route; nothing of it goes upstream. */
  readonly refuses: (token: string, refusal: Refusal) => Promise<Answer>;
  /** The answers to 200 calls that were all there before the control plane answered. */
  readonly crowd: (token: string) => Promise<readonly Answer[]>;
}

/** A control plane that knows TOKEN, and a proxy that asks it. */
async function inScene(play: (scene: Scene) => Promise<void>, env: Readonly<Record<string, string>> = {}): Promise<void> {
  await using control = startFakeAgentserver();
  control.sandboxes.set(TOKEN, RUNNING);
  let at = Date.parse("2026-01-31T12:00:00Z");
  await using proxy = await startProxy({
    env: { LLMPROXY_AGENTSERVER_URL: control.url, ...env },
    system: { now: () => at },
  });
  await play({
    control,
    proxy,
    pass: (ms) => void (at += ms),
    serves: async (token) => {
      const { status, body } = await answerTo(proxy, token);
      assert.equal(status, 200, body);
    },
    refuses: async (token, refusal) => {
      const before = proxy.upstream.calls.length;
      const paths = ["/v1/messages", "/v1/messages/count_tokens", "/v1/models"];
      const answers = await Promise.all(paths.map((path) => answerTo(proxy, token, { path })));
      for (const answer of answers) assertRefusal(answer, refusal);
      assert.equal(proxy.upstream.calls.length, before);
      return answers[0]!;
    },
    crowd: async (token) => {
      const release = control.hold();
      const answers = Promise.all(Array.from({ length: CROWD }, () => answerTo(proxy, token)));
      await waitFor(async () => await inFlight(proxy) === CROWD, { what: `${CROWD} calls in flight`, deadlineMs: 30_000 });
      release();
      return await answers;
    },
  });
}

async function answerTo(proxy: ProxyUnderTest, token: string, { path = "/v1/messages" } = {}) {
  const init = path === "/v1/models" ? { headers: { authorization: `Bearer ${token}` } } : messageCall(token);
  const answer = await fetch(proxy.url + path, init);
  return { status: answer.status, headers: answer.headers, body: await answer.text() };
}

function become(control: FakeAgentserver, status: string | null): void {
  if (status === null) control.sandboxes.delete(TOKEN);
  else control.sandboxes.set(TOKEN, { ...RUNNING, status });
}

async function inFlight(proxy: ProxyUnderTest): Promise<number> {
  const answer = await fetch(`${proxy.adminUrl}/metrics`, { headers: { authorization: `Bearer ${proxy.adminToken}` } });
  return Number(/^llmproxy_calls_in_flight (\d+)$/m.exec(await answer.text())?.[1]);
}
