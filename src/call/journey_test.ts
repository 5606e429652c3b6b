import assert from "node:assert/strict";
import {
  BODY,
  ERROR_EVENT,
  EVENTS,
  incoming,
  json,
  OPERATOR_KEY,
  received,
  refusal,
  requestOf,
  SANDBOX,
  scene,
  streamed,
  TOKEN,
  USAGE,
} from "../../tests/fake_calls.ts";
import { Fault, type FaultCode } from "../domain/fault.ts";
import { ByteBudget } from "../wire/budget.ts";
import { journey } from "./journey.ts";
import type { Deps } from "./deps.ts";

Deno.test("journey() passes a streamed answer unchanged and closes its row as completed, with the usage that the upstream named", async () => {
  await using call = scene(() => streamed(EVENTS, { headers: { "request-id": "req_1", "x-new": "kept" } }));
  const answer = await told(incoming(call, { stream: true }), call.deps);
  assert.deepEqual(await received(answer), { text: EVENTS.join(""), isBroken: false });
  assert.deepEqual([answer.status, answer.headers.get("x-new")], [200, "kept"]);
  const [closing] = call.closings;
  assert.deepEqual([closing?.outcome, closing?.accuracy, closing?.status, closing?.cost], ["completed", "exact", 200, 7]);
  assert.deepEqual([closing?.upstreamRequestId, closing?.reading.servedModel], ["req_1", "claude-served"]);
  assert.deepEqual([closing?.reading.inputTokens, closing?.reading.outputTokens], [USAGE.input_tokens, USAGE.output_tokens]);
});

Deno.test("journey() passes a JSON answer unchanged and closes its row as completed, with the usage that the upstream named", async () => {
  await using call = scene(() => json(BODY));
  const answer = await told(incoming(call), call.deps);
  assert.deepEqual(await received(answer), { text: BODY, isBroken: false });
  const [closing] = call.closings;
  assert.deepEqual([closing?.outcome, closing?.accuracy, closing?.reading.messageId], ["completed", "exact", "msg_1"]);
  assert.equal(closing?.reading.outputTokens, USAGE.output_tokens);
});

Deno.test("journey() sends the request's bytes and headers unchanged, with the operator's credential in place of the token", async () => {
  const body = `{"model": "m",  "messages":[], "new_key": "\\u00e9"}`;
  await using call = scene(() => json(BODY));
  const headers = { authorization: `Bearer ${TOKEN}`, "x-copy": `t=${TOKEN}`, "x-new": "kept", "anthropic-beta": "b1" };
  await received(await told(incoming(call, { body, headers, target: "/v1/messages?beta=true" }), call.deps));
  const [sent] = call.sent;
  const upstreamHeaders = new Headers(sent!.init.headers);
  assert.equal(await sent!.body(), body);
  assert.equal(sent!.url, "https://upstream.test/v1/messages?beta=true");
  assert.deepEqual([upstreamHeaders.get("x-new"), upstreamHeaders.get("anthropic-beta")], ["kept", "b1"]);
  assert.equal(upstreamHeaders.get("x-api-key"), OPERATOR_KEY);
  assert.ok(!JSON.stringify([...upstreamHeaders]).includes(TOKEN), "the sandbox's token went upstream");
});

Deno.test("journey() lets no header with the operator's credential go back, and no token into a row or a line", async () => {
  await using call = scene(() =>
    json(BODY.replaceAll("claude-served", `claude-${TOKEN}`), { headers: { "x-echo": OPERATOR_KEY } })
  );
  const body = JSON.stringify({ ...requestOf(), model: `claude-${TOKEN}`, metadata: { user_id: `u-${TOKEN}` } });
  const headers = { "x-trace-id": `run-${TOKEN}`, "user-agent": `agent-${TOKEN}/1` };
  const answer = await told(incoming(call, { body, headers }), call.deps);
  await received(answer);
  assert.equal(answer.headers.get("x-echo"), null);
  const kept = JSON.stringify([call.opened, call.closings, call.lines]);
  assert.ok(!kept.includes(TOKEN) && !kept.includes(OPERATOR_KEY), kept);
});

Deno.test("journey() sends nothing upstream before the open row is committed", async () => {
  await using call = scene(() => json(BODY));
  const opening = call.holdBack("open");
  const answer = told(incoming(call), call.deps);
  await turns();
  assert.deepEqual(call.log, []);
  opening.open();
  await received(await answer);
  assert.deepEqual(call.log, ["opened", "sent", "answered", "closed completed"]);
});

for (const [form, upstream, stream] of [["stream", () => streamed(EVENTS), true], ["JSON", () => json(BODY), false]] as const) {
  Deno.test(`journey() gives the client no last byte of a ${form} answer before the close is committed`, async () => {
    await using call = scene(upstream);
    const closing = call.holdBack("close");
    const answer = await told(incoming(call, { stream }), call.deps);
    let text = "";
    const all = received(
      new Response(answer.body!.pipeThrough(
        new TransformStream({
          transform: (chunk, to) => {
            text += new TextDecoder().decode(chunk);
            to.enqueue(chunk);
          },
        }),
      )),
    );
    await turns();
    assert.ok(!text.includes("message_stop") && text !== BODY, text);
    closing.open();
    assert.deepEqual(await all, { text: stream ? EVENTS.join("") : BODY, isBroken: false });
  });

  Deno.test(`journey() breaks the client's connection if the close of a ${form} answer cannot be committed`, async () => {
    await using call = scene(upstream);
    call.fail("close");
    const { text, isBroken } = await received(await told(incoming(call, { stream }), call.deps));
    assert.equal(isBroken, true);
    assert.ok(!text.includes("message_stop") && text !== BODY, text);
    assert.equal(call.lines.filter((line) => line.startsWith("callEnded")).length, 1);
  });
}

Deno.test("journey() commits that a file belongs to the caller before the answer's last byte, and breaks the connection otherwise", async () => {
  const block = { type: "code_execution_tool_result", content: { content: [{ file_id: "file_new" }] } };
  const body = JSON.stringify({ ...JSON.parse(BODY), content: [block] });
  await using call = scene(() => json(body));
  assert.deepEqual(await received(await told(incoming(call), call.deps)), { text: body, isBroken: false });
  assert.deepEqual(call.claims.map(({ id, kind, workspaceId }) => [id, kind, workspaceId]), [["file_new", "file", "w-1"]]);
  await using other = scene(() => json(body));
  other.fail("claim");
  assert.equal((await received(await told(incoming(other), other.deps))).isBroken, true);
  assert.equal(other.closings.length, 1, "the row is closed even so");
});

Deno.test("journey() calls the upstream once, however the call fails", async () => {
  for (const upstream of [hangsUp, () => json("{}", { status: 529 }), () => streamed([ERROR_EVENT])]) {
    await using call = scene(upstream);
    await told(incoming(call), call.deps).then(received, () => {});
    assert.equal(call.sent.length, 1);
  }
});

interface Refused {
  readonly code: FaultCode;
  /** What happened before, in the scene's log. */
  readonly log?: readonly string[];
  readonly deps?: Partial<Deps>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly fails?: "open";
}

const REFUSALS: readonly (readonly [station: string, of: string, refused: Refused])[] = [
  ["authenticate", "a token that is not known", { code: "unauthenticated", headers: { "x-api-key": "other" } }],
  ["authenticate", "a request without a token", { code: "unauthenticated", headers: { "x-api-key": "" } }],
  ["authenticate", "a sandbox that may not call", { code: "sandbox_inactive", deps: rejecting("sandbox_inactive") }],
  ["authenticate", "a control plane that is down", { code: "authority_unavailable", deps: rejecting("authority_unavailable") }],
  ["read", "a body that declares too much", { code: "body_too_large", headers: { "content-length": "99999999" } }],
  ["read", "a body that does not come in time", { code: "body_timeout", body: stuck(), deps: { bodyDeadlineMs: 1 } }],
  ["read", "a body that breaks off", { code: "body_cut", body: brokenOff() }],
  ["read", "a body that cannot be looked into", { code: "body_opaque", headers: { "content-encoding": "rot13" } }],
  ["read", "a body whose fields have numbers for keys", {
    code: "body_opaque",
    headers: { "content-type": "application/json+protobuf" },
  }],
  ["read", "a body that finds no room", {
    code: "overloaded",
    deps: { budget: new ByteBudget({ totalBytes: 10, perHolderBytes: 10 }) },
  }],
  ["read", "a body that names another workspace's file", { code: "not_owned", body: naming("file_other") }],
  ["read", "a body that names a file without an owner", { code: "not_owned", body: naming("file_unknown") }],
  ["admit", "a ledger that cannot be written", { code: "ledger_unavailable", fails: "open" }],
];

for (const [station, of, refused] of REFUSALS) {
  Deno.test(`journey() refuses ${of} with ${refused.code} in ${station}, before anything goes upstream`, async () => {
    await using call = scene(() => json(BODY), refused.deps);
    if (refused.fails !== undefined) call.fail(refused.fails);
    const { headers = {}, body } = refused;
    const asked = incoming(call, { headers, ...(body === undefined ? {} : { body }) });
    await assert.rejects(told(asked, call.deps), refusal(refused.code));
    assert.deepEqual(call.log, []);
  });
}

Deno.test("journey() lets a body name the workspace's own files", async () => {
  await using call = scene(() => json(BODY));
  await received(await told(incoming(call, { body: naming("file_own") }), call.deps));
  assert.equal(call.closings[0]?.outcome, "completed");
});

Deno.test("journey() names the sandbox in every refusal once it is known, and the body's user once that is read", async () => {
  const body = JSON.stringify({ ...requestOf(), metadata: { user_id: "user_1" } });
  await using open = scene(() => json(BODY));
  open.fail("open");
  await using unreachable = scene(hangsUp);
  await using odd = scene(() => json(BODY), { newId: () => assert.fail("a bug") });
  for (
    const [call, code] of [[open, "ledger_unavailable"], [unreachable, "upstream_unreachable"], [odd, "internal_error"]] as const
  ) {
    const fault = await told(incoming(call, { body }), call.deps).catch((error) => error);
    assert.ok(fault instanceof Fault, String(fault));
    assert.deepEqual([fault.code, fault.sandbox, fault.userId], [code, SANDBOX, "user_1"]);
  }
  await using unread = scene(() => json(BODY));
  const fault = await told(incoming(unread, { body: brokenOff() }), unread.deps).catch((error) => error);
  assert.deepEqual([fault.sandbox, fault.userId], [SANDBOX, undefined]);
});

Deno.test("journey() serves a call without a row if the ledger says so, and writes its line", async () => {
  await using call = scene(() => json(BODY));
  const ledger = { ...call.deps.ledger, open: () => Promise.resolve("unrecorded" as const) };
  assert.equal((await received(await told(incoming(call), { ...call.deps, ledger }))).text, BODY);
  assert.deepEqual(call.closings, []);
  assert.match(call.lines.join("\n"), /callEnded .*"isRecorded":false/);
});

/** Lets everything go on that can go on. */
async function turns(): Promise<void> {
  for (let n = 0; n < 20; n++) await new Promise((resolve) => setTimeout(resolve));
}

function hangsUp(): never {
  throw new TypeError("connection reset");
}

function rejecting(code: FaultCode): Partial<Deps> {
  return { sandboxOf: () => Promise.reject(new Fault(code, "no")) };
}

function naming(file: string): string {
  return JSON.stringify({ ...requestOf(), messages: [{ role: "user", content: [{ source: { file_id: file } }] }] });
}

function stuck(): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream();
}

function brokenOff(): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({ pull: (controller) => controller.error(new Error("cut")) });
}

/** The answer as the client gets it; rejects as the story does before it. */
function told(call: ReturnType<typeof incoming>, deps: Deps): Promise<Response> {
  return call.client.answerOf(journey(call, deps));
}
