/** Responses that OpenAI makes in the background: each is one row, however often it is read. */
import assert from "node:assert/strict";
import { json, type SeenCall } from "../fake_answers.ts";
import { RESPONSES_USAGE } from "../fake_openai.ts";
import { HURRIED } from "../hurried_pace.ts";
import { startOpenaiProxy } from "../openai_proxy.ts";
import type { ProxyUnderTest } from "../proxy_under_test.ts";
import { waitFor } from "../wait.ts";

const MODEL = "gpt-6.2-sol";
/** Of 41,003 input tokens 36,000 are cached and 4,096 written. */
const INPUT = 907;
/** 907 x $2 + 36,000 x $0.10 + 4,096 x $2.50 + 207 x $10, each for a million tokens. */
const COST = 17_724_000;

/** The model's side: what it keeps, and whether it is ready. */
function background(proxy: ProxyUnderTest) {
  const scene = { status: "in_progress", usage: null as object | null, asks: 0, isDeleted: false };
  const responseOf = (status: string, usage: object | null) =>
    json({ id: "resp_1", object: "response", model: MODEL, background: true, store: true, status, output: [], usage });
  proxy.upstream.answer((call: SeenCall) => {
    if (call.method === "POST" && call.target.endsWith("/cancel")) return responseOf("cancelled", null);
    if (call.method === "POST") return responseOf("queued", null);
    if (call.method === "DELETE") scene.isDeleted = true;
    if (call.method === "DELETE") return json({ id: "resp_1", object: "response", deleted: true });
    scene.asks++;
    if (scene.isDeleted) return { ...json({ error: { message: "not found", type: "x", param: null, code: null } }), status: 404 };
    return responseOf(scene.status, scene.usage);
  });
  return scene;
}

async function ask(proxy: ProxyUnderTest, token: string, method: string, path = "") {
  const body = method === "POST" && path === "" ? JSON.stringify({ model: MODEL, input: "think", background: true }) : null;
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(`${proxy.url}/v1/responses${path}`, { method, headers, body });
  return { status: answer.status, answer: await answer.json() };
}

/** The only row, as soon as it is as wanted. */
async function rowThat(proxy: ProxyUnderTest, is: (row: Readonly<Record<string, unknown>>) => boolean) {
  return await waitFor(async () => {
    const [row, ...others] = await proxy.closedRows(1);
    assert.deepEqual(others, []);
    return is(row!) ? row! : null;
  }, { what: "the row", deadlineMs: 20_000 });
}

Deno.test("a response in the background is counted once it is there, whole and once, in the row of the call that asked for it", async () => {
  await using proxy = await startOpenaiProxy({}, { system: { batchPace: HURRIED } });
  const model = background(proxy);
  const token = await proxy.token();
  assert.equal((await ask(proxy, token, "POST")).answer.status, "queued");
  const open = await rowThat(proxy, () => true);
  assert.deepEqual([open.outcome, open.accuracy, open.cost, open.message_id], ["completed", "unknown", null, "resp_1"]);
  await waitFor(() => model.asks > 1, { what: "the proxy to ask", deadlineMs: 20_000 });
  assert.equal((await rowThat(proxy, () => true)).accuracy, "unknown");
  // Clients ask too, as often as they like.
  for (let n = 0; n < 3; n++) assert.equal((await ask(proxy, token, "GET", "/resp_1")).answer.status, "in_progress");
  [model.status, model.usage] = ["completed", RESPONSES_USAGE];
  const row = await rowThat(proxy, ({ accuracy }) => accuracy === "exact");
  assert.deepEqual(
    [row.id, row.outcome, row.input_tokens, row.cache_read_input_tokens, row.output_tokens, row.thinking_tokens, row.cost],
    [open.id, "completed", INPUT, 36_000, 207, 64, COST],
  );
  assert.equal((await ask(proxy, token, "GET", "/resp_1")).answer.status, "completed");
  const { asks } = model;
  const { usage } = await proxy.ask("/internal/usage?group_by=model,provider,upstream") as {
    usage: Readonly<Record<string, unknown>>[];
  };
  assert.deepEqual(
    usage.map(({ requestCount, inputTokens, costUsd, unknownCount, provider, upstream }) => [
      ...[requestCount, inputTokens, costUsd, unknownCount, provider, upstream],
    ]),
    [[1, INPUT, "0.017724000", 0, "openai", "openai"]],
  );
  assert.equal(model.asks, asks, "the proxy asks no more");
});

Deno.test("a response in the background is counted before it is deleted; another workspace can neither read nor delete it", async () => {
  // A first look that never comes by itself.
  await using proxy = await startOpenaiProxy({}, {
    system: { batchPace: { ...HURRIED, leastWaitMs: 3_600_000, mostWaitMs: 3_600_000 } },
  });
  const model = background(proxy);
  const [mine, theirs] = [await proxy.token(), await proxy.token("w2", "s2")];
  await ask(proxy, mine, "POST");
  [model.status, model.usage] = ["completed", RESPONSES_USAGE];
  for (const method of ["GET", "DELETE"]) assert.equal((await ask(proxy, theirs, method, "/resp_1")).status, 404);
  assert.equal((await ask(proxy, theirs, "POST", "/resp_1/cancel")).status, 404);
  assert.equal(model.asks, 0);
  assert.equal((await ask(proxy, mine, "DELETE", "/resp_1")).status, 200);
  const row = await rowThat(proxy, ({ accuracy }) => accuracy === "exact");
  assert.deepEqual([row.input_tokens, row.cost], [INPUT, COST]);
});

Deno.test("a cancelled response in the background that names no usage stays unknown, and is asked for no more", async () => {
  await using proxy = await startOpenaiProxy({}, { system: { batchPace: HURRIED } });
  const model = background(proxy);
  const token = await proxy.token();
  await ask(proxy, token, "POST");
  assert.equal((await ask(proxy, token, "POST", "/resp_1/cancel")).answer.status, "cancelled");
  model.status = "cancelled";
  const row = await rowThat(proxy, ({ stop_reason }) => stop_reason === "cancelled");
  assert.deepEqual([row.accuracy, row.cost], ["unknown", null]);
});
