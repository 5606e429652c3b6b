import assert from "node:assert/strict";
import { failing, json, messageTo } from "../fake_answers.ts";
import { messageBody } from "../fake_messages.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";

/** What servers in front of the proxy put on a request. */
const WRITTEN_IN_FRONT = {
  "CF-Connecting-IP": "203.0.113.7",
  "CF-Ray": "8f0000000000-FRA",
  "CF-Visitor": '{"scheme":"https"}',
  "CF-IPCountry": "DE",
  "CDN-Loop": "cloudflare; loops=1",
  "True-Client-IP": "203.0.113.7",
  "X-Real-IP": "203.0.113.7",
  "X-Forwarded-For": "198.51.100.1, 203.0.113.7",
  "X-Forwarded-Proto": "https",
  "X-Forwarded-Host": "proxy.internal",
  "Forwarded": "for=203.0.113.7;proto=https",
  "Via": "1.1 front",
  "X-Envoy-External-Address": "203.0.113.7",
  "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
  "X-Auth-Request-Email": "somebody@example.com",
  "Cookie": "session=1",
};
/** What an upstream says of its own origin. */
const SAID_OF_THE_ORIGIN = {
  "alt-svc": 'h3=":443"; ma=86400',
  "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
  "nel": '{"report_to":"cf-nel"}',
  "report-to": '{"group":"cf-nel"}',
  "set-cookie": "__cf_bm=1; HttpOnly",
  "clear-site-data": '"*"',
};
const KEPT = { "cf-ray": "8f0000000000-FRA", "cf-cache-status": "DYNAMIC", "server": "cloudflare", "via": "1.1 google" };

Deno.test("the proxy sends no address, path or user of the hop to it upstream, and nothing of the upstream's origin back", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  const headers = { ...SAID_OF_THE_ORIGIN, ...KEPT };
  for (const path of ["/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches"]) {
    for (const status of [200, 529]) {
      proxy.upstream.answer(
        status === 200 ? (call) => ({ ...json(messageBody(messageTo(call))), headers }) : failing(529, { headers }),
      );
      const answer = await fetch(proxy.url + path, messageCall(token, { headers: WRITTEN_IN_FRONT }));
      await answer.body?.cancel();
      const call = proxy.upstream.calls.at(-1)!;
      for (const name of Object.keys(WRITTEN_IN_FRONT)) assert.equal(call.header(name), null, name);
      assert.ok(!JSON.stringify(call.rawHeaders).includes("203.0.113.7"));
      for (const name of Object.keys(SAID_OF_THE_ORIGIN)) assert.equal(answer.headers.get(name), null, name);
      for (const [name, value] of Object.entries(KEPT)) assert.equal(answer.headers.get(name), value, name);
    }
  }
});

Deno.test("the proxy logs the address that LLMPROXY_CLIENT_IP_HEADER names, of calls and refusals, and sends and keeps it nowhere", async () => {
  const env = { LLMPROXY_CLIENT_IP_HEADER: "X-Our-Client", LLMPROXY_LOG_LEVEL: "debug" };
  await using proxy = await startProxy({ env });
  const token = await proxy.token();
  const from = (value: string) => ({ headers: { "x-our-client": value } });
  const asked: readonly (readonly [path: string, token: string, value: string])[] = [
    ["/v1/messages", token, "198.51.100.1, 203.0.113.7"],
    ["/v1/messages", "no-such-token", "203.0.113.8"],
    ["/v1/messages/count_tokens", token, "[2001:db8::1]:443"],
    ["/nothing", token, "203.0.113.9"],
    ["/v1/messages", token, `made up ${token}`],
  ];
  for (const [path, shown, value] of asked) {
    await (await fetch(proxy.url + path, messageCall(shown, from(value)))).text();
  }
  await proxy.closedRows(2);
  assert.deepEqual(addresses(proxy, ["call ended", "refused", "call passed"]), [
    ["call ended", "203.0.113.7"],
    ["refused", "203.0.113.8"],
    ["call passed", "2001:db8::1"],
    ["refused", "203.0.113.9"],
    ["call ended", undefined],
  ]);
  assert.ok(proxy.upstream.calls.every((call) => call.header("x-our-client") === null));
  assert.ok(!JSON.stringify(proxy.rows(), (_, value) => typeof value === "bigint" ? String(value) : value).includes("203.0.113"));
  assert.ok(!proxy.logs.join("").includes(token));
});

Deno.test("the proxy logs no address that a client claims while LLMPROXY_CLIENT_IP_HEADER is unset", async () => {
  await using proxy = await startProxy();
  await (await fetch(`${proxy.url}/v1/messages`, messageCall(await proxy.token(), { headers: WRITTEN_IN_FRONT }))).text();
  await proxy.closedRows(1);
  assert.deepEqual(addresses(proxy, ["call ended"]), [["call ended", undefined]]);
  assert.ok(!proxy.logs.join("").includes("203.0.113"));
});

function addresses(proxy: ProxyUnderTest, messages: readonly string[]): readonly unknown[] {
  return proxy.logs.map((line) => JSON.parse(line)).filter(({ msg }) => messages.includes(msg)).map((
    { msg, clientIp },
  ) => [msg, clientIp]);
}
