import type { Upstream as UpstreamSpoken } from "../domain/upstream.ts";
import assert from "node:assert/strict";
import {
  type CallOptions,
  incoming,
  json,
  LiveAnswer,
  NOW,
  OPERATOR_KEY,
  received,
  refusal,
  SANDBOX,
  type Scene,
  scene,
  sceneUpstream,
  TOKEN,
  type Upstream,
} from "../../tests/fake_calls.ts";
import { admissionsOn, boundOf, FakeLimitRecords, limitVerbs, reservationOf } from "../../tests/limit_records.ts";
import { anthropic } from "../../tests/anthropic.ts";
import { waitFor } from "../../tests/wait.ts";
import { Fault } from "../domain/fault.ts";
import type { Limits, Reservation } from "../domain/limits.ts";
import type { OwnedNames, PassthroughRoute } from "../domain/provider.ts";
import { pass, type PassOptions } from "./passthrough.ts";
import type { Deps } from "./deps.ts";

const ROUTE: PassthroughRoute = { name: "other", maxBodyBytes: 1_000, joinsTrace: false, namesOwned: true, answersJson: true };
const ANSWER = `{"input_tokens": 7}`;
const BATCH = `{"id": "batch_1", "type": "message_batch"}`;

Deno.test("pass() passes both bodies unchanged, without a row, and with the operator's credential in place of the token", async () => {
  const sent: string[] = [];
  await using call = scene(echoing(sent, () => json(ANSWER, { headers: { "x-new": "kept", "x-echo": OPERATOR_KEY } })));
  const answer = await passed(call, { body: `{"a":  1}`, headers: { "x-copy": TOKEN } });
  assert.deepEqual(await received(answer), { text: ANSWER, isBroken: false });
  assert.deepEqual([answer.headers.get("x-new"), answer.headers.get("x-echo")], ["kept", null]);
  assert.deepEqual(sent, [`{"a":  1}`]);
  assert.ok(!JSON.stringify([...new Headers(call.sent[0]!.init.headers)]).includes(TOKEN));
  assert.deepEqual([call.opened, call.closings], [[], []]);
  assert.match(call.lines.join("\n"), /passed .*"other",200/);
});

Deno.test("pass() refuses an unknown token, another workspace's file or batch, and a body that is too large, before anything is sent", async () => {
  const cases: readonly (readonly [Parameters<typeof refusal>[0], CallOptions, Partial<PassOptions>])[] = [
    ["unauthenticated", { headers: { "x-api-key": "other" } }, {}],
    ["not_owned", {}, { about: { kind: "file", id: "file_other" } }],
    ["not_owned", {}, { about: { kind: "batch", id: "file_own" } }],
    ["body_too_large", { headers: { "content-length": "1001" } }, {}],
    ["body_opaque", { headers: { "content-type": "application/x-protobuf" } }, {}],
  ];
  for (const [code, request, options] of cases) {
    await using call = scene(() => json(ANSWER));
    await assert.rejects(passed(call, request, options), refusal(code));
    assert.deepEqual(call.log, []);
  }
});

Deno.test("pass() ends no request that names another workspace's file, grows too large or breaks off, and names the sandbox", async () => {
  const cases: readonly (readonly [code: string, body: CallOptions["body"]])[] = [
    ["not_owned", `{"file_id": "file_other"}`],
    ["body_too_large", "x".repeat(1_001)],
    ["body_cut", new ReadableStream({ pull: (controller) => controller.error(new Error("cut")) })],
  ];
  for (const [code, body] of cases) {
    const sent: string[] = [];
    await using call = scene(echoing(sent, () => json(ANSWER)));
    const fault = await passed(call, { body }).catch((error) => error);
    assert.ok(fault instanceof Fault, String(fault));
    assert.deepEqual([fault.code, fault.sandbox, sent], [code, SANDBOX, []]);
  }
});

Deno.test("pass() answers an upstream 401 with our 502, and an upstream that is not there or silent with 502 and 504", async () => {
  const cases: readonly (readonly [Parameters<typeof refusal>[0], Upstream, Partial<UpstreamSpoken>])[] = [
    ["upstream_refused_credential", () => json("{}", { status: 401 }), {}],
    ["upstream_unreachable", () => Promise.reject(new TypeError("connection refused")), {}],
    ["upstream_timeout", () => new Promise(() => {}), { idleMs: 1 }],
  ];
  for (const [code, upstream, over] of cases) {
    await using call = scene(upstream, { upstreams: sceneUpstream(over) });
    await assert.rejects(passed(call), refusal(code));
    assert.equal(call.sent.length, 1);
  }
});

Deno.test("pass() breaks the connection if the answer breaks, or if JSON without a length is cut", async () => {
  const broken: Upstream = ({ init }) => {
    const live = new LiveAnswer(init.signal!, {});
    live.write(ANSWER.slice(0, 5));
    setTimeout(() => live.break(), 5);
    return live.response;
  };
  const cut: Upstream = ({ init }) => {
    const live = new LiveAnswer(init.signal!, {});
    live.write(ANSWER.slice(0, 5));
    live.end();
    return live.response;
  };
  for (const upstream of [broken, cut]) {
    await using call = scene(upstream);
    assert.deepEqual(await received(await passed(call)), { text: ANSWER.slice(0, 5), isBroken: true });
  }
});

Deno.test("pass() cancels the upstream at once if the client leaves, and breaks the call if the proxy cuts it", async () => {
  for (const end of ["leave", "cut"] as const) {
    const lives = Promise.withResolvers<LiveAnswer>();
    await using call = scene(({ init }) => {
      const live = new LiveAnswer(init.signal!, {});
      lives.resolve(live);
      return live.response;
    });
    const answer = received(await passed(call));
    if (end === "leave") call.client.abort();
    else call.deps.traffic.cut();
    await (await lives.promise).cancelled;
    assert.equal(call.deps.traffic.inFlight, 1, "a call is under way until its answer has been delivered");
    if (end === "cut") assert.equal((await answer).isBroken, true);
    await call.deps.traffic.idle();
  }
});

Deno.test("pass() lets a call that names its session join it, and accounts for a batch before it is deleted", async () => {
  await using call = scene(() => json(ANSWER));
  await received(await passed(call, { headers: { "x-trace-id": "run-1" } }, { passthrough: { ...ROUTE, joinsTrace: true } }));
  assert.ok(call.log.includes("joined run-1"));
  const owners = {
    ...call.deps.owners,
    ownersOf: () =>
      Promise.resolve(new Map([["batch_1", { kind: "batch", workspaceId: "w-1", credentialId: null, traceId: null }]])),
  };
  await using deletion = scene(() => json(ANSWER), { owners } as Partial<Deps>);
  const about = { kind: "batch", id: "batch_1" } as const;
  await received(await passed(deletion, { method: "DELETE", body: null }, { about }));
  assert.deepEqual(deletion.log, ["accounted batch_1", "sent", "answered"]);
});

Deno.test("pass() claims what a call makes before the answer's last byte, and breaks the connection if that fails", async () => {
  await using call = scene(() => json(BATCH));
  const claiming = call.holdBack("claim");
  const answer = received(await passed(call, {}, { makes: "batch" }));
  for (let n = 0; n < 20; n++) await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual([call.deps.traffic.inFlight, call.claims], [1, []]);
  claiming.open();
  assert.deepEqual(await answer, { text: BATCH, isBroken: false });
  const [{ id, kind, workspaceId, dueAt, createdAt, call: made } = assert.fail()] = call.claims;
  assert.deepEqual([id, kind, workspaceId, dueAt! - createdAt], ["batch_1", "batch", "w-1", 60_000]);
  assert.deepEqual([made?.kind, made?.batchId, made?.sandboxId], ["batch_line", "batch_1", "sb-1"]);
  await using failing = scene(() => json(BATCH));
  const answerOfFailing = await passed(failing, {}, {
    makes: "file",
    deps: { ...failing.deps, owners: { ...failing.deps.owners, claim: () => Promise.reject(new Error("disk full")) } },
  });
  const { text, isBroken } = await received(answerOfFailing);
  assert.deepEqual([text.length < BATCH.length, isBroken], [true, true]);
});

Deno.test("pass() makes nothing while nothing can be recorded, and claims nothing for an error", async () => {
  await using full = scene(() => json(BATCH));
  full.fail("claim");
  await assert.rejects(passed(full, {}, { makes: "file" }), refusal("ledger_unavailable"));
  assert.deepEqual(full.log, []);
  for (const [body, status] of [[`{"type":"error","id":"file_1"}`, 200], [`{"id":"file_1"}`, 400]] as const) {
    await using call = scene(() => json(body, { status }));
    assert.deepEqual(await received(await passed(call, {}, { makes: "file" })), { text: body, isBroken: false });
    assert.deepEqual(call.claims, []);
  }
});

Deno.test("pass() reads the answer of a call that makes something on after its client left, for a bounded time, and claims it", async () => {
  const lives = Promise.withResolvers<LiveAnswer>();
  const upstream: Upstream = ({ init }) => {
    const live = new LiveAnswer(init.signal!, {});
    lives.resolve(live);
    return live.response;
  };
  await using call = scene(upstream);
  const answer = await passed(call, {}, { makes: "file" });
  const live = await lives.promise;
  call.client.abort();
  await answer.body!.cancel();
  live.write(`{"id":"file_1"}`);
  live.end();
  await call.deps.traffic.idle();
  assert.deepEqual(call.claims.map(({ id }) => id), ["file_1"]);

  await using slow = scene(() => new Promise(() => {}), { upstreams: sceneUpstream({ drainAfterLeftMs: 1 }) });
  slow.client.abort();
  await assert.rejects(passed(slow, {}, { makes: "file" }), refusal("client_left"));
});

const ITEMS = { keys: ["id"], mark: "item_reference" };
const ITEM = "msg_68f0c1d2e3a4b5c6d7e8f9a0b1c2d3e4";

Deno.test("pass() claims what an answer about an own thing names first: its output, and its items", async () => {
  const metadata = { output_file_id: "file_no", id: "msg_2" };
  const data = [{ id: ITEM }, { id: ITEM.replace("msg_", "resp_") }];
  const answer = JSON.stringify({ id: "batch_own", output_file_id: "file_made", metadata, data });
  const kinds = { batch: [["file_made", "file"]], response: [[ITEM, "item"]] } as const;
  for (const kind of ["batch", "response"] as const) {
    const owner = { kind, workspaceId: "w-1", credentialId: null, traceId: null } as const;
    await using call = scene(() => json(answer));
    const ownersOf: Deps["owners"]["ownersOf"] = (ids) =>
      Promise.resolve(new Map(ids.filter((id) => id === "thing_own").map((id) => [id, owner])));
    const deps = { ...call.deps, owners: { ...call.deps.owners, ownersOf } };
    const options = {
      about: { kind, id: "thing_own" },
      deps,
      ...kind === "batch" && { yields: { output_file_id: "file" as const } },
    };
    const claiming = call.holdBack("claim");
    const answered = received(
      await passed(call, { method: "GET", body: null, owned: { keys: [], prefixes: ["resp_"], items: ITEMS } }, options),
    );
    for (let n = 0; n < 20; n++) await new Promise((resolve) => setTimeout(resolve));
    assert.equal(call.deps.traffic.inFlight, 1);
    claiming.open();
    assert.deepEqual(await answered, { text: answer, isBroken: false });
    assert.deepEqual(call.claims.map((claim) => [claim.id, claim.kind]), kinds[kind]);
    assert.deepEqual([...new Set(call.claims.map(({ workspaceId, call: made }) => `${workspaceId} ${made?.credentialId}`))], [
      "w-1 key-1",
    ]);
  }
});

Deno.test("pass() claims nothing for an answer while owners cannot be asked: it may be another's", async () => {
  await using call = scene(() => json(JSON.stringify({ data: [{ id: ITEM }] })));
  const ownersOf: Deps["owners"]["ownersOf"] = (ids) =>
    ids.includes(ITEM)
      ? Promise.reject(new Fault("ledger_unavailable", "not now"))
      : Promise.resolve(new Map([["resp_own", { kind: "response", workspaceId: "w-1", credentialId: null, traceId: null }]]));
  const deps = { ...call.deps, owners: { ...call.deps.owners, ownersOf } };
  const about = { kind: "response", id: "resp_own" } as const;
  const asked = { method: "GET", body: null, owned: { keys: [], prefixes: ["resp_"], items: ITEMS } };
  assert.equal((await received(await passed(call, asked, { about, deps }))).isBroken, false);
  assert.deepEqual(call.claims, []);
});

Deno.test("pass() refuses a second id in a path, one in a query, and one in any body about an own thing", async () => {
  const about = { kind: "file", id: "file_own" } as const;
  const cases: readonly (readonly [CallOptions, Partial<PassOptions>])[] = [
    [{ target: "/v1/files/file_own/parts/file_other" }, { about }],
    [{ target: "/v1/x?after=file_other" }, {}],
    [{ target: "/v1/x?after=%20file_unknown" }, {}],
    [{ body: `{"file_id":"file_other"}` }, { about, passthrough: { ...ROUTE, namesOwned: false } }],
  ];
  for (const [request, options] of cases) {
    const sent: string[] = [];
    await using call = scene(echoing(sent, () => json(ANSWER)));
    await assert.rejects(passed(call, request, options), refusal("not_owned"), JSON.stringify(request));
    assert.deepEqual(sent, []);
  }
});

function passed(
  call: Scene,
  { owned = anthropic.owned, ...request }: CallOptions & { readonly owned?: OwnedNames } = {},
  options: Partial<PassOptions> = {},
): Promise<Response> {
  const { passthrough = ROUTE, about = null, makes = null, yields = {}, deps = call.deps } = options;
  const asked = { target: "/v1/x", body: "{}", ...request };
  const arriving = incoming(call, asked);
  const provider = { ...arriving.provider, owned };
  return arriving.client.answerOf(pass({ ...arriving, provider }, { passthrough, about, makes, yields, deps }));
}

/** Reads each request to its end before it answers, as fetch does with a body that fails. */
function echoing(sent: string[], answer: () => Response): Upstream {
  return async (call) => {
    sent.push(await call.body());
    return answer();
  };
}

Deno.test("pass() ends no batch that asks for a model which its upstream does not offer, however that is spelled", async () => {
  const batchOf = (models: string) => `{"requests":[{"custom_id":"1","params":{${models}}}]}`;
  const mayUse: UpstreamSpoken["mayUse"] = ({ model }) => model === null || model === "small";
  const cases = [
    [`"model":"small"`, null],
    [`"model":"large"`, "model_not_allowed"],
    [`"model":"small","model":"large"`, "model_not_allowed"],
    [String.raw`"mod\u0065l":"l\u0061rge"`, "model_not_allowed"],
    [`"model":"" `, "model_not_allowed"],
  ] as const;
  for (const [models, code] of cases) {
    const sent: string[] = [];
    await using call = scene(echoing(sent, () => json(BATCH)), { upstreams: sceneUpstream({ mayUse }) });
    const answer = passed(call, { body: batchOf(models) }, { makes: "batch" });
    if (code === null) await received(await answer);
    else await assert.rejects(answer, refusal(code));
    assert.deepEqual(sent, code === null ? [batchOf(models)] : [], models);
  }
});

Deno.test("pass() refuses a batch if a limit is used up that its lines would count in, and holds nothing for one that passes", async () => {
  const records = new FakeLimitRecords();
  const admissions = admissionsOn(records);
  const bounds = [boundOf("cost_per_day", 100), boundOf("rpd", 5), boundOf("concurrent", 1)];
  const limits: Limits = { ...limitVerbs(admissions), boundsOf: () => bounds };
  await using call = scene(() => json(BATCH), { limits });
  const { id } = await holding(records, { cost: 100 });
  await assert.rejects(passed(call, {}, { makes: "batch" }), (error) => {
    assert.ok(error instanceof Fault);
    assert.deepEqual([error.code, call.sent.length], ["over_cost_per_day", 0]);
    assert.match(
      error.message,
      /^Quota exceeded\. This workspace has used 0\.0000001 of its limit of 0\.0000001 dollars a day \(cost_per_day\)\. The /,
    );
    return true;
  });
  assert.deepEqual(await received(await passed(call, {}, { makes: "file" })), { text: BATCH, isBroken: false });
  records.held.set(id, { ...records.held.get(id)!, cost: 99 });
  assert.deepEqual(await received(await passed(call, {}, { makes: "batch" })), { text: BATCH, isBroken: false });
  await waitFor(() => records.held.size === 1, { what: "the release" });
  await admissions.end();
});

async function holding(records: FakeLimitRecords, given: Partial<Reservation>): Promise<Reservation> {
  const reservation = reservationOf({ ...given, createdAt: NOW });
  await records.hold([{ ...reservation, isRunning: true }]);
  return reservation;
}
