import type { Upstream as UpstreamSpoken } from "../domain/upstream.ts";
import assert from "node:assert/strict";
import {
  BODY,
  incoming,
  json,
  OPERATOR_KEY,
  refusal,
  SANDBOX,
  type Scene,
  scene,
  sceneUpstream,
  type Upstream,
} from "../../tests/fake_calls.ts";
import { credentialOf, onlyCredential } from "../../tests/fake_credentials.ts";
import { Fault, FAULTS } from "../domain/fault.ts";
import type { Provider } from "../domain/provider.ts";
import type { Credentials, PayingHeaders, Payment } from "../domain/upstream.ts";
import { admit } from "./admit.ts";
import { forward, returned } from "./forward.ts";
import { read } from "./read.ts";
import { belongingOf } from "./trace.ts";
import type { Deps } from "./deps.ts";

const CALLER = { sandbox: SANDBOX, token: "tok-of-a-sandbox-0123456789" };

Deno.test("forward() resolves to the upstream's answer as soon as its head is there, and shrinks the body's room to a call's least", async () => {
  const { call, live, answer } = await forwarded(() => json(BODY), { body: "x".repeat(1 << 20) });
  assert.equal((await answer).status, 200);
  assert.equal(call.deps.budget.heldBytes, 64 * 1024);
  assert.deepEqual(call.closings, []);
  await live.end("completed");
});

Deno.test("forward() answers an upstream 401 with our 502 that says not to retry, tells the operator, and closes the row", async () => {
  const { call, answer } = await forwarded(() => json("{}", { status: 401 }));
  await assert.rejects(answer, refusal("upstream_refused_credential"));
  assert.deepEqual(FAULTS.upstream_refused_credential, {
    ...FAULTS.upstream_refused_credential,
    status: 502,
    retryAfterSeconds: "never",
  });
  assert.deepEqual(endOf(call), ["upstream_error", "exact", 401, "authentication_error"]);
  assert.ok(call.lines.some((line) => line.startsWith("credentialRefused") && !line.includes(OPERATOR_KEY)));
});

Deno.test("forward() asks the host that has the path", async () => {
  const baseUrlFor = (baseUrl: string, target: string) => target.startsWith("/v1/messages") ? `${baseUrl}/other` : baseUrl;
  const { call, live, answer } = await forwarded(() => json(BODY), { provider: { baseUrlFor } });
  await answer;
  assert.match(call.sent[0]!.url, /^https?:\/\/[^/]+\/other\/v1\/messages$/);
  await live.end("completed");
});

Deno.test("forward() lets the client of an upstream 401 ask again if another credential pays from now on", async () => {
  const credentials = onlyCredential(OPERATOR_KEY, { refused: () => Promise.resolve(true) });
  const { call, answer } = await forwarded(() => json("{}", { status: 401 }), { deps: withUpstream({ credentials }) });
  await assert.rejects(answer, (error) => error instanceof Fault && error.retryAfterSeconds === 1);
  assert.equal(call.sent.length, 1, "the call was sent a second time");
  assert.deepEqual(endOf(call), ["upstream_error", "exact", 401, "authentication_error"]);
});

Deno.test("forward() tells the credentials the head of each answer, with the model that was asked", async () => {
  const heard: unknown[] = [];
  const answered: Credentials["answered"] = ({ id }, { status, headers }, model) =>
    void heard.push([id, status, headers.get("retry-after"), model]);
  const deps = withUpstream({ credentials: onlyCredential(OPERATOR_KEY, { answered }) });
  const { live, answer } = await forwarded(() => json("{}", { status: 429, headers: { "retry-after": "3" } }), { deps });
  assert.equal((await answer).status, 429);
  assert.deepEqual(heard, [["key-1", 429, "3", "claude-asked"]]);
  await live.end("upstream_error");
});

Deno.test("forward() refuses with upstream_unreachable if nothing answers, and closes the row as upstream_broke", async () => {
  const { call, answer } = await forwarded(() => Promise.reject(new TypeError("connection refused")));
  await assert.rejects(answer, refusal("upstream_unreachable"));
  assert.deepEqual(endOf(call), ["upstream_broke", "unknown", null, "upstream_unreachable"]);
});

Deno.test("forward() refuses with upstream_unreachable if the status is no final one", async () => {
  const answers = [101, 600, 999].map((status) => Object.defineProperty(json("{}"), "status", { value: status }));
  for (const odd of answers) {
    const { call, answer } = await forwarded(() => odd);
    await assert.rejects(answer, refusal("upstream_unreachable"));
    assert.deepEqual(endOf(call), ["upstream_broke", "unknown", null, "upstream_unreachable"]);
  }
});

Deno.test("forward() refuses with upstream_timeout if the upstream stays silent, and closes the row as upstream_broke", async () => {
  const { call, answer } = await forwarded(() => new Promise(() => {}), { deps: withUpstream({ idleMs: 1 }) });
  await assert.rejects(answer, refusal("upstream_timeout"));
  assert.deepEqual(endOf(call), ["upstream_broke", "unknown", null, "upstream_timeout"]);
});

Deno.test("forward() refuses with draining if the proxy stops before the answer, and closes the row as proxy_cut", async () => {
  const { call, answer } = await forwarded(() => new Promise(() => {}));
  call.deps.traffic.cut();
  await assert.rejects(answer, refusal("draining"));
  assert.deepEqual(endOf(call), ["proxy_cut", "unknown", null, "draining"]);
});

Deno.test("forward() cancels a streamed call at once if its client leaves before the answer", async () => {
  const { call, answer } = await forwarded(() => new Promise(() => {}), { stream: true });
  call.client.abort();
  await assert.rejects(answer, refusal("client_left"));
  assert.deepEqual(endOf(call), ["client_left", "unknown", null, null]);
  assert.equal(call.sent[0]!.init.signal!.aborted, true);
});

Deno.test("forward() sends nothing for a streamed call whose client left while its row was opened", async () => {
  const { call, answer } = await forwarded(({ init }) => Promise.reject(init.signal!.reason), { stream: true, isGone: true });
  await assert.rejects(answer, refusal("client_left"));
  assert.deepEqual(endOf(call), ["client_left", "unknown", null, null]);
});

Deno.test("forward() sends nothing for a client that left before, though the upstream's answers are read on", async () => {
  const { call, answer } = await forwarded(() => json(BODY), { isGone: true, deps: withUpstream({ readOnMs: 60_000 }) });
  await assert.rejects(answer, refusal("client_left"));
  const minting = Promise.withResolvers<PayingHeaders>();
  const payment: Payment = { signsBody: false, headersFor: () => minting.promise, refused: () => {} };
  const deps = withUpstream({ readOnMs: 60_000, paymentOf: () => payment });
  const { call: late, answer: none } = await forwarded(() => json(BODY), { stream: true, deps });
  late.client.abort();
  minting.resolve([["authorization", "Bearer minted"]]);
  await assert.rejects(none, refusal("client_left"));
  for (const each of [call, late]) {
    assert.deepEqual([endOf(each), each.sent], [["client_left", "unknown", null, null], []]);
  }
});

Deno.test("returned() leaves out a header that repeats what was minted or signed for the call", async () => {
  const paying: PayingHeaders = [["authorization", "Bearer minted-1"], ["x-amz-security-token", "session-1"]];
  const payment: Payment = { signsBody: false, headersFor: () => paying, refused: () => {} };
  const credential = credentialOf("google", { secret: "", auth: { kind: "google", keyFile: null } });
  const credentials = { ...onlyCredential(""), forCall: () => Promise.resolve(credential) };
  const headers = { "x-echo": "was Bearer minted-1", "x-token": "session-1", "x-kept": "Bearer" };
  const deps = withUpstream({ credentials, paymentOf: () => payment });
  const { live, answer } = await forwarded(() => json(BODY, { headers }), { deps });
  const head = returned(await answer, live);
  assert.deepEqual([...head.headers].map(([name]) => name).filter((name) => name.startsWith("x-")), ["x-kept"]);
  await live.end("completed");
});

Deno.test("forward() waits on for an unstreamed answer whose client has left, as long as the proxy reads on", async () => {
  const late = Promise.withResolvers<Response>();
  const { call, live, answer } = await forwarded(() => late.promise);
  call.client.abort();
  assert.equal(call.sent[0]!.init.signal!.aborted, false);
  late.resolve(json(BODY));
  assert.equal((await answer).status, 200);
  await live.end("completed");
  const { call: short, answer: none } = await forwarded(() => new Promise(() => {}), {
    deps: withUpstream({ drainAfterLeftMs: 1 }),
  });
  short.client.abort();
  await assert.rejects(none, refusal("client_left"));
  assert.deepEqual(endOf(short), ["client_left", "unknown", null, null]);
});

Deno.test("forward() refuses as the failure calls for if the close cannot be committed either", async () => {
  const call = scene(() => Promise.reject(new TypeError("connection refused")));
  call.fail("close");
  await assert.rejects((await admitted(call)).answer, refusal("upstream_unreachable"));
  assert.equal(call.deps.budget.heldBytes, 0);
});

interface Asked {
  readonly stream?: boolean;
  readonly body?: string;
  readonly deps?: Partial<Deps>;
  /** The client has left before the call goes upstream. */
  readonly isGone?: boolean;
  /** Of the dialect. */
  readonly provider?: Partial<Provider>;
}

async function forwarded(upstream: Upstream, asked: Asked = {}) {
  return await admitted(scene(upstream, asked.deps), asked);
}

async function admitted(call: Scene, { isGone = false, provider, ...asked }: Asked = {}) {
  const plain = incoming(call, asked);
  const request = { ...plain, provider: { ...plain.provider, ...provider } };
  const facts = await read(request, CALLER, call.deps);
  const trace = belongingOf({ incoming: request, asked: facts, caller: CALLER }, call.deps);
  if (isGone) call.client.abort();
  const live = await admit({ incoming: request, caller: CALLER, facts, trace }, call.deps);
  return { call, live, answer: forward(live, facts.body) };
}

function withUpstream(over: Partial<UpstreamSpoken>): Partial<Deps> {
  return { upstreams: sceneUpstream(over) };
}

/** How the one row closed. */
function endOf({ closings, deps }: Scene) {
  assert.equal(closings.length, 1);
  assert.deepEqual([deps.traffic.inFlight, deps.budget.heldBytes], [0, 0]);
  const { outcome, accuracy, status, reading } = closings[0]!;
  return [outcome, accuracy, status, reading.errorType];
}
