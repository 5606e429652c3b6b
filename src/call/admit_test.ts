import assert from "node:assert/strict";
import {
  BODY,
  incoming,
  json,
  NOW,
  refusal,
  requestOf,
  SANDBOX,
  type Scene,
  scene,
  sceneUpstream,
  TOKEN,
} from "../../tests/fake_calls.ts";
import { onlyCredential } from "../../tests/fake_credentials.ts";
import { isPending, waitFor } from "../../tests/wait.ts";
import { unlessAborted } from "../async/deadline.ts";
import { Fault } from "../domain/fault.ts";
import { NO_LIMITS } from "../domain/limits.ts";
import type { CallToSend, Credentials } from "../domain/upstream.ts";
import { admit } from "./admit.ts";
import type { Deps, IncomingBilled } from "./deps.ts";
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

Deno.test("admit() takes the place of a call from its base URL if the dialect does, unless the request names one", async () => {
  await using call = scene(() => json(BODY));
  const geoOf = (baseUrl: string) => baseUrl.length > 0 ? "eu" : null;
  const placeOf = async (body: object, dialect: Partial<IncomingBilled["dialect"]["request"]>) => {
    const live = await admitted(call, { body: JSON.stringify(body), dialect });
    await live.end("completed");
    return live.row!.asked.inferenceGeo;
  };
  assert.equal(await placeOf(requestOf(), { geoOf }), "eu");
  assert.equal(await placeOf({ ...requestOf(), inference_geo: "us" }, { geoOf }), "us");
  assert.equal(await placeOf(requestOf(), {}), null);
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
  await using call = scene(() => json(BODY), { upstreams: sceneUpstream({ credentials: onlyCredential("key", { forCall }) }) });
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
  const upstreams = sceneUpstream({ credentials: onlyCredential("key", { unsent: ({ id }) => void unsent.push(id) }) });
  const bound = { kind: "rpd", scope: "workspace", id: "w-1", max: 1, from: NOW, until: NOW + 1_000 } as const;
  const limits = { ...NO_LIMITS, boundsOf: () => [bound], reserve: () => Promise.resolve({ bound, used: 1 }) };
  await using limited = scene(() => json(BODY), { upstreams, limits });
  await assert.rejects(admitted(limited), refusal("over_rpd"));
  await using unrecorded = scene(() => json(BODY), { upstreams });
  unrecorded.fail("open");
  await assert.rejects(admitted(unrecorded), refusal("ledger_unavailable"));
  assert.deepEqual(unsent, ["key-1", "key-1"]);
  await using good = scene(() => json(BODY), { upstreams });
  await (await admitted(good)).end("completed");
  assert.equal(unsent.length, 2);
});

for (const [what, over] of Object.entries({ "the upstream": waitingForUpstream, "a place": waitingForPlace })) {
  Deno.test(`admit() lists a call that waits for ${what}, and refuses it at once if it is stopped`, async () => {
    for (const why of ["suspended", "unauthenticated", "sandbox_inactive", "call_cut"] as const) {
      await using call = scene(() => json(BODY), over());
      const waiting = admitted(call, { headers: { "x-trace-id": "run-1", "user-agent": "opencode/1.2" } });
      waiting.catch(() => {});
      assert.ok(await isPending(waiting));
      const [listed = assert.fail()] = call.deps.stops.list();
      const { id, traceId, model, client, status, createdAt, cost, accuracy } = listed;
      assert.deepEqual([traceId, model, client, status, createdAt], ["run-1", "claude-asked", "opencode", null, NOW]);
      assert.deepEqual([cost, accuracy, call.deps.traffic.inFlight], [null, "unknown", 1]);
      if (why === "call_cut") assert.equal(call.deps.stops.cut(id)?.id, id);
      else if (why === "suspended") call.deps.stops.suspend([{ workspaceId: "w-1", sandboxId: "sb-1" }]);
      else call.deps.stops.stop(why, () => true);
      await assert.rejects(waiting, refusal(why));
      assert.deepEqual([call.log, call.deps.traffic.inFlight, call.deps.stops.list()], [[], 0, []]);
    }
  });
}

Deno.test("admit() refuses a call that was suspended while its body came, and opens no row", async () => {
  await using call = scene(() => json(BODY));
  call.deps.stops.suspend([{ workspaceId: "w-1", sandboxId: null }]);
  await assert.rejects(admitted(call), refusal("suspended"));
  assert.deepEqual(call.log, []);
});

Deno.test("admit() stops a call whose row is just being opened, and the row says why", async () => {
  await using call = scene(() => json(BODY));
  const open = call.holdBack("open");
  const waiting = admitted(call);
  await waitFor(() => call.deps.stops.list().length === 1, { what: "the call" });
  call.deps.stops.stop("unauthenticated", () => true);
  open.open();
  const live = await waiting;
  assert.deepEqual([live.signal.aborted, call.deps.stops.list().length], [true, 1]);
  const { outcome, fault } = live.failureOf(live.signal.reason);
  assert.deepEqual([outcome, fault.code], ["stopped", "unauthenticated"]);
  await live.end(outcome);
});

Deno.test("admit() stops waiting if the client leaves or the proxy drains", async () => {
  for (const code of ["client_left", "draining"] as const) {
    for (const over of [waitingForUpstream, waitingForPlace]) {
      await using call = scene(() => json(BODY), over());
      const waiting = admitted(call);
      waiting.catch(() => {});
      assert.ok(await isPending(waiting));
      if (code === "draining") call.deps.traffic.drain();
      else call.client.abort();
      await assert.rejects(waiting, refusal(code));
      assert.equal(call.deps.traffic.inFlight, 0);
    }
  }
});

function waitingForUpstream(): Partial<Deps> {
  const forCall: Credentials["forCall"] = (_call, signal) => unlessAborted(signal, new Promise(() => {}));
  return { upstreams: sceneUpstream({ credentials: onlyCredential("key", { forCall }) }) };
}

function waitingForPlace(): Partial<Deps> {
  const bound = { kind: "concurrent", scope: "workspace", id: "w-1", max: 1, from: null, until: null } as const;
  const reserve: Deps["limits"]["reserve"] = (_call, _bounds, signal) => unlessAborted(signal, new Promise(() => {}));
  return { limits: { ...NO_LIMITS, boundsOf: () => [bound], reserve } };
}

Deno.test("admit() counts the call as in flight from its open row to its close", async () => {
  await using call = scene(() => json(BODY));
  const live = await admitted(call);
  assert.equal(call.deps.traffic.inFlight, 1);
  await live.end("completed");
  assert.equal(call.deps.traffic.inFlight, 0);
});

async function admitted(
  call: Scene,
  { headers = {}, body, trace, dialect = {} }: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
    /** What its request's dialect has besides. */
    readonly dialect?: Partial<IncomingBilled["dialect"]["request"]>;
    readonly trace?: Promise<Belonging>;
  } = {},
) {
  const request = incoming(call, { headers, dialect, ...(body === undefined ? {} : { body }) });
  const facts = await read(request, CALLER, call.deps);
  const placed = trace ?? belongingOf({ incoming: request, asked: facts, caller: CALLER }, call.deps);
  return await admit({ incoming: request, caller: CALLER, facts, trace: placed }, call.deps);
}
