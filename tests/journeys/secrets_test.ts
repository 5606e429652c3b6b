import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { eventStream, failing, type SeenCall } from "../fake_answers.ts";
import { sse } from "../fake_messages.ts";
import { OPERATOR_KEY } from "../proxy_under_test.ts";
import { bodyOf, type HuntOptions, type SecretHunt, type Shown, startHunt } from "../secret_hunt.ts";

const COUNT_TOKENS = "/v1/messages/count_tokens";
const TRACEPARENT = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const SESSION = "00000000-0000-4000-8000-000000000001";
const COMBINATIONS: readonly HuntOptions[] = (["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"] as const).flatMap((credential) =>
  (["local", "agentserver"] as const).map((tokenKind) => ({ credential, tokenKind }))
);

for (const options of COMBINATIONS) {
  const name = `with ${options.credential} and a token of the ${options.tokenKind === "local" ? "proxy's own" : "agentserver"}`;

  Deno.test(`the proxy lets no secret out of a call that it serves, ${name}`, async (t) => {
    await using hunt = await startHunt(options);
    for (const [how, serve] of Object.entries(SERVED)) {
      await t.step(how, async () => {
        for (const shown of [...credentialsOf(hunt.token), ...copiesOf(hunt.token)]) await serve(hunt, shown);
      });
    }
    await hunt.proxy.closedRows(1);
    await hunt.search();
  });

  Deno.test(`the proxy lets no secret out of a call that it refuses, ${name}`, async () => {
    await using hunt = await startHunt(options);
    const { proxy, token, otherToken } = hunt;
    for (const shown of unauthenticated(token, otherToken)) await hunt.show(shown, { status: 401 });
    for (const own of credentialsOf(token)) {
      await hunt.show({ ...own, target: "/v1/sessions" }, { status: 403 });
      await hunt.show({ ...own, target: `/v1/x/${encodeURIComponent(token).replaceAll(/%../g, "-")}` }, { status: 403 });
      await hunt.show({ ...own, target: `/${token.replaceAll(/["\\]/g, "-")}` }, { status: 404 });
      await hunt.show({ ...own, target: "/v1/./messages" }, { status: 404 });
      await hunt.show({ ...own, target: `/internal/usage?token=${encodeURIComponent(token)}` }, { status: 404 });
      await hunt.show({ ...own, contentLength: 33 * 1024 * 1024 }, { status: 413 });
    }
    assert.deepEqual(proxy.upstream.calls, []);
    await hunt.search();
    const stopped = drain(hunt);
    for (const own of credentialsOf(token)) await hunt.show(own, { status: 503 });
    void proxy.running.stop();
    await stopped;
    hunt.searchLogs();
    await hunt.searchFiles();
  });
}

Deno.test("the proxy lets no secret out while the control plane refuses, repeats the token, is away or hangs up", async () => {
  await using hunt = await startHunt({ credential: "ANTHROPIC_API_KEY", tokenKind: "agentserver" });
  const { control, token, otherToken } = hunt;
  const shown = credentialsOf(token);
  for (const body of [`<p>no sandbox has ${token}</p>`, `{"sandbox_id":"${otherToken}"`, JSON.stringify({ status: token })]) {
    control.answer({ kind: "body", body });
    for (const each of shown) await hunt.show(each, { status: 503 });
  }
  control.answer({ kind: "redirect", location: `/${encodeURIComponent(token)}` });
  await hunt.show(shown[0]!, { status: 503 });
  control.answer({ kind: "reset" });
  await hunt.show(shown[0]!, { status: 503 });
  await control.goAway();
  for (const each of shown) await hunt.show(each, { status: 503 });
  control.comeBack();
  control.answer({ kind: "truth" });
  control.sandboxes.set(token, { sandbox_id: "s1", workspace_id: "w1", status: "stopped" });
  for (const each of shown) await hunt.show(each, { status: 403 });
  control.sandboxes.delete(otherToken);
  for (const each of credentialsOf(otherToken)) await hunt.show(each, { status: 401 });
  assert.deepEqual(hunt.proxy.upstream.calls, []);
  await hunt.search();
});

/** Every way to serve a call that is shown with good credentials. */
const SERVED: Readonly<Record<string, (hunt: SecretHunt, shown: Shown) => Promise<void>>> = {
  "a message": async (hunt, shown) => {
    hunt.proxy.upstream.answer("default");
    await hunt.show(shown, { status: 200, isEcho: namesModel(shown) });
  },
  "a stream": async (hunt, shown) => {
    hunt.proxy.upstream.answer("default");
    const body = JSON.stringify({ ...JSON.parse(shown.body ?? bodyOf({})), stream: true });
    const answer = await hunt.show({ ...shown, body }, { status: 200, isEcho: namesModel(shown) });
    assert.match(answer.body, /message_stop/);
  },
  "a count of tokens and a list of models": async (hunt, shown) => {
    hunt.proxy.upstream.answer("default");
    await hunt.show({ ...shown, target: COUNT_TOKENS }, { status: 200 });
    await hunt.show({ lines: shown.lines, method: "GET", target: "/v1/models?limit=5" }, { status: 200 });
  },
  "a 401 of the upstream": async (hunt, shown) => {
    hunt.proxy.upstream.answer((call) => failing(401, { message: echoOf(call) })(call));
    await hunt.show(shown, { status: 502 });
    await hunt.show({ ...shown, target: COUNT_TOKENS }, { status: 502 });
  },
  "an error whose body and headers repeat what the upstream was told": async (hunt, shown) => {
    hunt.proxy.upstream.answer((call) => failing(400, { message: echoOf(call), headers: { "x-echo": echoOf(call) } })(call));
    for (const target of ["/v1/messages", COUNT_TOKENS]) {
      const answer = await hunt.show({ ...shown, target }, { status: 400, isEcho: true });
      assert.match(answer.body, new RegExp(OPERATOR_KEY), "the upstream's body did not pass unchanged");
      assert.equal(answer.headers.has("x-echo"), false);
    }
  },
  "an error in a stream": async (hunt, shown) => {
    const error = (call: SeenCall) => sse("error", { type: "error", error: { type: "api_error", message: echoOf(call) } });
    hunt.proxy.upstream.answer((call) => eventStream([error(call)]));
    await hunt.show(shown, { status: 200, isEcho: true });
  },
  "an upstream that hangs up": async (hunt, shown) => {
    hunt.proxy.upstream.answer("reset");
    await hunt.show(shown, { status: 502 });
    await hunt.show({ ...shown, target: COUNT_TOKENS }, { status: 502 });
  },
  "an upstream that cannot be reached": async (hunt, shown) => {
    await hunt.proxy.upstream[Symbol.asyncDispose]();
    await hunt.show(shown, { status: 502 });
    await hunt.show({ ...shown, target: COUNT_TOKENS }, { status: 502 });
  },
};

/** Every way to show one's token that is good. */
function credentialsOf(token: string): readonly Shown[] {
  return [
    [`x-api-key: ${token}`],
    [`Authorization: Bearer ${token}`],
    [`AUTHORIZATION: bearer  ${token}`],
    [`X-Api-Key: ${token}`, `Authorization: Bearer ${token}`],
    [`Authorization: Bearer ${token}`, "x-api-key:"],
    ["authorization:", `x-api-key: ${token}`],
  ].map((lines) => ({ lines }));
}

/** Good credentials, and the token once more where it does not belong. */
function copiesOf(token: string): readonly Shown[] {
  const own = `x-api-key: ${token}`;
  const names = ["X-Trace-Id", "x-claude-code-session-id", "x-claude-code-agent-id", "x-claude-code-prompt-id", "x-session-id"];
  const headers = [
    ...names.flatMap((name) => [`${name}: ${token}`, `${name}: ${encodeURIComponent(token)}`]),
    `User-Agent: ${token}`,
    `User-Agent: claude-cli/2.0 (${token})`,
    `Cookie: session=${token}; a=b`,
    `Proxy-Authorization: Bearer ${token}`,
    `X-Forwarded-Authorization: Bearer ${token}`,
    ...[token, encodeURIComponent(token)].map((spelled) => `${TRACEPARENT}\r\ntracestate: vendor=${spelled}`),
    `Referer: http://proxy/?api_key=${encodeURIComponent(token)}`,
    `anthropic-beta: a, ${token}`,
    `Connection: keep-alive, x-hop\r\nx-hop: ${token}`,
    ...(/^[\w-]+$/.test(token) ? [`X-${token}: 1`, `Connection: ${token}`] : []),
  ];
  const bodies = [
    { metadata: { user_id: token } },
    { metadata: { user_id: `user_${token}_account__session_${SESSION}` } },
    { metadata: { user_id: JSON.stringify({ device_id: token, session_id: SESSION }) } },
    { metadata: { user_id: JSON.stringify({ session_id: token }) } },
    { metadata: { token, authorization: `Bearer ${token}` }, messages: [{ role: "user", content: token }] },
    { model: token },
    { model: `claude-${"x".repeat(220)}-${token}` },
  ];
  return [...headers.map((line) => ({ lines: [own, line] })), ...bodies.map((over) => ({ lines: [own], body: bodyOf(over) }))];
}

/** The token where it is no credential, or with one that contradicts it. */
function unauthenticated(token: string, otherToken: string): readonly Shown[] {
  const own = `x-api-key: ${token}`;
  const basic = `Basic ${Buffer.from(`${token}:`).toString("base64")}`;
  const encoded = encodeURIComponent(token);
  const whollyEncoded = [...token].map((character) => `%${character.charCodeAt(0).toString(16)}`).join("");
  return [
    ...[
      [],
      [`Authorization: ${token}`],
      [`Authorization: Token ${token}`],
      [`Authorization: Basic ${token}`],
      [`Authorization: ${basic}`],
      [own, `Authorization: ${basic}`],
      [own, `Authorization: Bearer ${otherToken}`],
      [`x-api-key: ${otherToken}`, `Authorization: Bearer ${token}`],
      [own, own],
      [`Authorization: Bearer ${token}, Bearer ${token}`],
      [`x-api-key: Bearer ${token}`],
      [`x-api-key: ${token}x`],
      [`x-api-key: x${token}`],
      [`Proxy-Authorization: Bearer ${token}`],
      [`Cookie: x-api-key=${token}`],
      [`X-Trace-Id: ${token}`, `x-api-key: ${otherToken}x`],
    ].map((lines) => ({ lines })),
    ...[encoded, whollyEncoded].flatMap((spelled) => [
      { lines: [], target: `/v1/messages?api_key=${spelled}` },
      { lines: [own], target: `/v1/messages?api_key=${spelled}` },
      { lines: [`Authorization: Bearer ${token}`], target: `${COUNT_TOKENS}?a=b&${spelled}` },
      { lines: [own], method: "GET", target: `/v1/models?key=${spelled}` },
    ]),
    ...(encoded === token ? [{ lines: [own], method: "GET", target: `/v1/models/${token}` }] : []),
  ];
}

/** Everything in the request's head, as an upstream in need of debugging might repeat it. */
function echoOf(call: SeenCall): string {
  return `${call.method} ${call.target} ${call.rawHeaders.map(([name, value]) => `${name}=${value}`).join(" ")}`;
}

/** The fake upstream, like the real one, says which model answered. */
function namesModel({ body }: Shown): boolean {
  return body !== undefined && JSON.parse(body).model !== JSON.parse(bodyOf({})).model;
}

/** Begins to stop; what is asked from now on is refused until a second call hurries it. */
function drain({ proxy }: SecretHunt): Promise<void> {
  return proxy.running.stop();
}
