/** What clients get wrong about their base URL and their credentials, and what they are told. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { assertRefusal } from "../bad_input.ts";
import { startFakeAgentserver } from "../fake_agentserver.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";

/** The user's own; the proxy must not keep them. */
const OWN_KEYS = ["sk-ant-api03-users-own-key_0123456789AA", "sk-ant-oat01-users-own-login-0123456789AA"];
const TOKEN = "token-of-sandbox-1";

Deno.test("the proxy serves a good token beside the user's own key, which goes nowhere and is asked about nowhere", () =>
  inScene(async ({ proxy, lookUps }) => {
    const local = await proxy.token();
    let calls = 0;
    for (const token of [TOKEN, local]) {
      for (const own of OWN_KEYS) {
        const pairs = [
          { "x-api-key": token, authorization: `Bearer ${own}` },
          { "x-api-key": own, authorization: `Bearer ${token}` },
        ];
        for (const pair of pairs) {
          const copies = { "x-trace-id": own, "user-agent": `claude-cli/2 (${own})`, cookie: `key=${own}`, "x-copy": own };
          for (const path of ["/v1/messages", "/v1/messages/count_tokens"]) {
            const answer = await fetch(proxy.url + path, messageCall(token, { headers: { ...pair, ...copies } }));
            assert.equal(answer.status, 200, await answer.text());
            calls++;
          }
        }
      }
    }
    // What the body says passes as it is, and stays out of the row.
    for (const own of OWN_KEYS) {
      const said = { model: own, max_tokens: 9, messages: [], metadata: { user_id: JSON.stringify({ session_id: own }) } };
      const headers = { "x-api-key": local, authorization: `Bearer ${own}` };
      const { body: _body, ...call } = messageCall(local, { headers });
      const answer = await fetch(`${proxy.url}/v1/messages`, { ...call, body: JSON.stringify(said) });
      assert.equal(answer.status, 200, await answer.text());
      calls++;
    }
    assert.equal(proxy.upstream.calls.length, calls);
    for (const { target, rawHeaders } of proxy.upstream.calls) assertNoKey(JSON.stringify([target, rawHeaders]), "the upstream");
    assert.deepEqual(new Set(lookUps()), new Set([TOKEN]));
    await proxy.closedRows((calls - OWN_KEYS.length) / 2 + OWN_KEYS.length);
    await assertKeptNowhere(proxy);
  }));

Deno.test("the proxy says what a user's own key is if there is no proxy token, and does not look it up", () =>
  inScene(async ({ proxy, lookUps }) => {
    const [key, login] = OWN_KEYS as [string, string];
    const shown: readonly Readonly<Record<string, string>>[] = [
      { "x-api-key": key },
      { "x-api-key": "", authorization: `Bearer ${login}` },
      { "x-api-key": key, authorization: `Bearer ${login}` },
      { "x-api-key": key, authorization: `Bearer ${key}` },
    ];
    for (const headers of shown) {
      for (const path of ["/v1/messages", "/v1/messages/count_tokens", "/v1/files"]) {
        const answer = await fetch(proxy.url + path, messageCall("", { headers }));
        const body = await answer.text();
        assertRefusal({ status: answer.status, headers: answer.headers, body }, { status: 401, type: "authentication_error" });
        assert.match(JSON.parse(body).error.message, /the model provider's own, not a proxy token\. Send the proxy token/);
        assert.doesNotMatch(body, /x-api-key/i, "Claude Code would not show this text");
        assertNoKey(body, "the answer");
      }
    }
    const inUrl = await fetch(
      `${proxy.url}/v1/messages?key=${key}`,
      messageCall(TOKEN, { headers: { authorization: `Bearer ${key}` } }),
    );
    assert.equal(inUrl.status, 401, await inUrl.text());
    assert.deepEqual([proxy.upstream.calls.length, lookUps().length], [0, 0]);
    await assertKeptNowhere(proxy);
  }));

Deno.test("the proxy says that the base URL has one /v1 too many, by any method, and counts it under the sandbox", () =>
  inScene(async ({ proxy }) => {
    for (const method of ["POST", "GET", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
      for (const path of ["/v1/v1/messages", "/v1/v1/messages/count_tokens", "/v1/v1/models", "/v1/v1"]) {
        const { body, ...init } = messageCall(TOKEN);
        const answer = await fetch(proxy.url + path, { ...init, method, ...(method === "GET" ? {} : { body: body! }) });
        const text = await answer.text();
        assertRefusal({ status: answer.status, headers: answer.headers, body: text }, {
          status: 421,
          type: "invalid_request_error",
        });
        assert.match(JSON.parse(text).error.message, /^The client's base URL has one \/v1 too many/);
      }
    }
    const few = await fetch(`${proxy.url}/messages`, messageCall(TOKEN));
    assert.equal(few.status, 404);
    assert.match((await few.json()).error.message, /\/v1 is missing/);
    const nobody = await fetch(`${proxy.url}/v1/v1/messages`, messageCall("token-of-nobody"));
    assert.equal(nobody.status, 421, await nobody.text());
    assert.equal(proxy.upstream.calls.length, 0);
    const lines = proxy.logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg === "refused");
    const named = (fault: string) => lines.filter((line) => line.fault === fault).map(({ sandboxId }) => sandboxId);
    assert.deepEqual(named("path_unknown"), ["sb-1"]);
    assert.equal(named("path_misdirected")[0], "sb-1");
  }));

interface Scene {
  readonly proxy: ProxyUnderTest;
  /** The tokens that the control plane was asked about. */
  readonly lookUps: () => readonly string[];
}

async function inScene(play: (scene: Scene) => Promise<void>): Promise<void> {
  await using control = startFakeAgentserver();
  control.sandboxes.set(TOKEN, { sandbox_id: "sb-1", workspace_id: "ws-1", status: "running" });
  await using proxy = await startProxy({ env: { LLMPROXY_AGENTSERVER_URL: control.url, LLMPROXY_LOG_LEVEL: "trace" } });
  const lookUps = () => control.lookUps.map(({ body }) => (body as { readonly proxy_token: string }).proxy_token);
  await play({ proxy, lookUps });
}

/** Neither logged nor written to the data directory. */
async function assertKeptNowhere({ logs, dataDir, running }: ProxyUnderTest): Promise<void> {
  await running.stop();
  assertNoKey(logs.join(""), "the log");
  for (const { name } of Deno.readDirSync(dataDir)) {
    assertNoKey(Buffer.from(await Deno.readFile(`${dataDir}/${name}`)).toString("latin1"), name);
  }
}

function assertNoKey(text: string, where: string): void {
  for (const own of OWN_KEYS) assert.ok(!text.includes(own), `${where} holds the user's own key`);
}
