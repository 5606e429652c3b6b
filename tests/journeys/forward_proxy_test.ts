import assert from "node:assert/strict";
import { type FakeAgentserver, startFakeAgentserver } from "../fake_agentserver.ts";
import { fakeThings } from "../fake_things.ts";
import { HURRIED } from "../hurried_pace.ts";
import { messageCall, OPERATOR_KEY, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { type Relayed, type RelayingProxy, startRelayingProxy } from "../relaying_proxy.ts";
import { waitFor } from "../wait.ts";

const TOKEN = "token-of-sandbox-1";
const PASSWORD = "p@ss:wörd-0123";
const BATCHES = "/v1/messages/batches";

/**
 * `NO_PROXY` in which UPSTREAM stands for its host and port, and what is asked through the proxy
 * then.
 */
const LISTS: readonly (readonly [noProxy: string, proxied: readonly ("upstream" | "control")[]])[] = [
  ["", ["control", "upstream"]],
  ["*", []],
  ["localhost, UPSTREAM", ["control"]],
];

for (const [noProxy, proxied] of LISTS) {
  Deno.test(`the proxy asks ${proxied.join(" and ") || "no host"} through HTTP_PROXY with NO_PROXY=${noProxy}`, () =>
    inScene(async ({ start, relay, control }) => {
      const proxy = await start((hosts) => ({
        HTTP_PROXY: `http://user:${encodeURIComponent(PASSWORD)}@${relay.host}`,
        NO_PROXY: noProxy.replace("UPSTREAM", hosts.upstream),
      }));
      const line = proxy.logs.map((text) => JSON.parse(text)).find(({ msg }) => /names a proxy/.test(msg));
      const wayTo = (name: "upstream" | "control") => proxied.includes(name) ? `http://${relay.host}` : "direct";
      assert.deepEqual([line.upstream, line.controlPlane], [wayTo("upstream"), wayTo("control")]);
      const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(TOKEN));
      assert.equal(answer.status, 200, await answer.text());
      const urls = {
        upstream: `${proxy.upstream.url}/v1/messages`,
        control: `${control.url}/internal/validate-proxy-token`,
      };
      assert.deepEqual(relay.relayed.map(({ url }) => url), proxied.map((name) => urls[name]));
      const basic = `Basic ${new TextEncoder().encode(`user:${PASSWORD}`).toBase64()}`;
      assert.ok(relay.relayed.every(({ headers }) => headers["proxy-authorization"] === basic));
      if (!proxied.includes("upstream")) assert.ok(!holdsKey(relay.relayed));
      for (const secret of [PASSWORD, encodeURIComponent(PASSWORD), basic.slice(6)]) {
        assert.ok(!proxy.logs.join("").includes(secret), "the log holds the password");
      }
      assert.deepEqual(proxy.upstream.calls[0]!.rawHeaders.filter(([name]) => /^proxy-/i.test(name)), []);
    }));
}

Deno.test("the proxy fetches what batches used by the same way as calls", () =>
  inScene(async ({ start, relay }) => {
    const things = fakeThings();
    const proxy = await start(({ control }) => ({ HTTP_PROXY: relay.host, NO_PROXY: control }));
    proxy.upstream.answer(things.answer);
    const made = await fetch(proxy.url + BATCHES, { ...messageCall(TOKEN), body: '{"requests":[]}' });
    const { id } = await made.json();
    things.finish(id, 1);
    await waitFor(() => things.fetches(id) === 1, { what: "the batch's results to be fetched" });
    const paths = relay.relayed.map(({ url }) => url.replace(proxy.upstream.url, ""));
    assert.deepEqual([paths[0], paths.at(-1)], [BATCHES, `${BATCHES}/${id}/results`]);
    assert.equal(proxy.upstream.calls.length, paths.length);
  }));

Deno.test("the proxy answers 502 where its forward proxy cannot be reached, and does not go around it", () =>
  inScene(async ({ start, relay }) => {
    const proxy = await start(({ control }) => ({ HTTP_PROXY: `http://user:${PASSWORD}@${relay.host}`, NO_PROXY: control }));
    await relay[Symbol.asyncDispose]();
    const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(TOKEN));
    assert.equal(answer.status, 502, await answer.text());
    assert.equal(proxy.upstream.calls.length, 0);
    assert.ok(!proxy.logs.join("").includes(PASSWORD), "the log holds the password");
  }));

interface Scene {
  readonly relay: RelayingProxy;
  readonly control: FakeAgentserver;
  /** Starts the proxy with the settings that are made of the hosts and ports of what it asks. */
  readonly start: (
    env: (hosts: { readonly upstream: string; readonly control: string }) => Readonly<Record<string, string>>,
  ) => Promise<ProxyUnderTest>;
}

/** A forward proxy, a control plane that knows TOKEN, and a proxy to start. */
async function inScene(play: (scene: Scene) => Promise<void>): Promise<void> {
  await using control = startFakeAgentserver();
  await using relay = await startRelayingProxy();
  await using started = new AsyncDisposableStack();
  control.sandboxes.set(TOKEN, { sandbox_id: "sb-1", workspace_id: "ws-1", status: "running" });
  await play({
    control,
    relay,
    start: async (env) =>
      started.use(
        await startProxy({
          env: ({ upstreamUrl }) => ({
            LLMPROXY_AGENTSERVER_URL: control.url,
            ...env({ upstream: new URL(upstreamUrl).host, control: new URL(control.url).host }),
          }),
          system: { batchPace: HURRIED },
        }),
      ),
  });
}

function holdsKey(relayed: readonly Relayed[]): boolean {
  return JSON.stringify(relayed).includes(OPERATOR_KEY);
}
