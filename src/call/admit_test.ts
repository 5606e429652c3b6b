import assert from "node:assert/strict";
import { BODY, incoming, json, NOW, refusal, requestOf, SANDBOX, type Scene, scene, TOKEN } from "../../tests/fake_calls.ts";
import { onlyCredential } from "../../tests/fake_credentials.ts";
import { Fault } from "../domain/fault.ts";
import { NO_LIMITS } from "../domain/limits.ts";
import type { CallToSend, Credentials } from "../domain/upstream.ts";
import { admit } from "./admit.ts";
import { read } from "./read.ts";
import { type Belonging, belongingOf } from "./trace.ts";

const CALLER = { sandbox: SANDBOX, token: TOKEN };

Deno.test("admit() resolves to a live call once its open row is committed, and the row says who called, what and when", async () => {
  await using call = scene(() => json(BODY));
  const headers = { "x-trace-id": "run-1", "x-claude-code-agent-id": "agent-1", "user-agent": "opencode/1.2" };
  const live = await admitted(call, { headers });
  const [row = assert.fail()] = call.opened;
  assert.deepEqual([row.workspaceId, row.sandboxId, row.traceId, row.createdAt], ["w-1", "sb-1", "run-1", NOW]);
  assert.deepEqual([row.requestedModel, row.maxTokens, row.streaming, row.kind], ["claude-asked", 100, false, "message"]);
  assert.deepEqual([row.agentId, row.client, row.credentialId, row.instanceId], ["agent-1", "opencode", "key-1", "run-1"]);
  assert.deepEqual([row.requestBytes, row.messagesHash?.length], [JSON.stringify(requestOf()).length, 64]);
  await live.end("completed");
});

Deno.test("admit() cuts every string that a client chose at 256 bytes", async () => {
  await using call = scene(() => json(BODY));
  const long = "x".repeat(1_000);
  const headers = { "x-claude-code-agent-id": long, "x-claude-code-prompt-id": long, "user-agent": long };
  const live = await admitted(call, { headers, body: JSON.stringify({ ...requestOf(), model: long }) });
  const { agentId, promptId, client, requestedModel } = call.opened[0]!;
  for (const text of [agentId, promptId, client, requestedModel]) assert.equal(text?.length, 256);
  await live.end("completed");
});

Deno.test("admit() keeps max_tokens only if it is a count", async () => {
  await using call = scene(() => json(BODY));
  const kept = async (maxTokens: string) => {
    const body = JSON.stringify(requestOf()).replace(/"max_tokens":\d+/, `"max_tokens":${maxTokens}`);
    assert.ok(body.includes(maxTokens));
    const live = await admitted(call, { body });
    await live.end("completed");
    return live.row!.call.maxTokens;
  };
  for (const text of ["0", "128000", "9007199254740991"]) assert.equal(await kept(text), Number(text));
  for (const text of ["-1", "-1e15", "0.5", "1e16", "1e309", '"500"', "null", "[500]"]) {
    assert.equal(await kept(text), null, text);
  }
});

Deno.test("admit() gives the body's room back if the row cannot be committed, and names the sandbox and the body's user", async () => {
  await using call = scene(() => json(BODY));
  call.fail("open");
  const body = JSON.stringify({ ...requestOf(), metadata: { user_id: "user_1" } });
  const fault = await admitted(call, { body }).catch((error) => error);
  assert.ok(fault instanceof Fault && fault.code === "ledger_unavailable");
  assert.deepEqual([fault.sandbox, fault.userId], [SANDBOX, "user_1"]);
  assert.deepEqual([call.deps.budget.heldBytes, call.deps.traffic.inFlight, call.log], [0, 0, []]);
});

Deno.test("admit() gives the body's room back if the trace fails, which it never should", async () => {
  await using call = scene(() => json(BODY));
  await assert.rejects(admitted(call, { trace: Promise.reject(new Error("a bug")) }), refusal("internal_error"));
  assert.deepEqual([call.deps.budget.heldBytes, call.log], [0, []]);
});

Deno.test("admit() asks for the credential of the session before it opens the row, and a refusal there leaves nothing behind", async () => {
  const asked: CallToSend[] = [];
  const forCall: Credentials["forCall"] = (call) => {
    asked.push(call);
    return Promise.reject(new Fault("upstream_busy", "busy", { retryAfterSeconds: 30 }));
  };
  const { deps } = scene(() => json(BODY));
  const upstream = { ...deps.upstream, credentials: onlyCredential("key", { forCall }) };
  await using call = scene(() => json(BODY), { upstream });
  const headers = { "x-trace-id": "run-1", "x-claude-code-request-class": "auxiliary" };
  const fault = await admitted(call, { headers }).catch((error) => error);
  assert.deepEqual([fault.code, fault.retryAfterSeconds, fault.sandbox], ["upstream_busy", 30, SANDBOX]);
  assert.deepEqual(asked, [{
    ...{ workspaceId: "w-1", sandboxId: "sb-1", traceId: "run-1" },
    ...{ requestedModel: "claude-asked", requestClass: "auxiliary", heldBy: null },
  }]);
  assert.deepEqual([call.log, call.deps.budget.heldBytes, call.deps.traffic.inFlight], [[], 0, 0]);
});

Deno.test("admit() tells of a credential whose call a limit or the ledger refused, so that another call can try it", async () => {
  const unsent: string[] = [];
  const { deps } = scene(() => json(BODY));
  const upstream = {
    ...deps.upstream,
    credentials: onlyCredential("key", { unsent: ({ id }) => void unsent.push(id) }),
  };
  const bound = { kind: "rpd", scope: "workspace", id: "w-1", max: 1, from: NOW, until: NOW + 1_000 } as const;
  const limits = { ...NO_LIMITS, boundsOf: () => [bound], reserve: () => Promise.resolve({ bound, used: 1 }) };
  await using limited = scene(() => json(BODY), { upstream, limits });
  await assert.rejects(admitted(limited), refusal("over_rpd"));
  await using unrecorded = scene(() => json(BODY), { upstream });
  unrecorded.fail("open");
  await assert.rejects(admitted(unrecorded), refusal("ledger_unavailable"));
  assert.deepEqual(unsent, ["key-1", "key-1"]);
  await using good = scene(() => json(BODY), { upstream });
  await (await admitted(good)).end("completed");
  assert.equal(unsent.length, 2);
});

Deno.test("admit() counts the call as in flight from its open row to its close", async () => {
  await using call = scene(() => json(BODY));
  const live = await admitted(call);
  assert.equal(call.deps.traffic.inFlight, 1);
  await live.end("completed");
  assert.equal(call.deps.traffic.inFlight, 0);
});

async function admitted(
  call: Scene,
  { headers = {}, body, trace }: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly trace?: Promise<Belonging>;
  } = {},
) {
  const request = incoming(call, body === undefined ? { headers } : { headers, body });
  const facts = await read(request, CALLER, call.deps);
  const placed = trace ?? belongingOf({ headers: request.request.headers, asked: facts, caller: CALLER }, call.deps);
  return await admit({ incoming: request, caller: CALLER, facts, trace: placed }, call.deps);
}
