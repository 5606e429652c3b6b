/** OpenAI's, Google's and Anthropic's SDKs for the other dialects, through the real proxy. */
import assert from "node:assert/strict";
import { SDK_NAMES, type SdkName, type SdkResult, startSdkDriver, type Task } from "../client_sdks.ts";
import { assertHeadPassed, type Passed, passedTo, type SceneDialect, startDialectScene } from "../dialect_scene.ts";
import type { Script, SeenCall } from "../fake_answers.ts";
import { quota } from "../limited_calls.ts";
import type { Row } from "../proxy_under_test.ts";
import { FINAL_ANSWER, type Middle, UPSTREAM_ERROR } from "../scripted_turns.ts";
import { sayingAWord, SDK_SCENES } from "../sdk_scenes.ts";
import { gate, waitFor } from "../wait.ts";

/** What is true of one SDK's calls. */
interface Expected {
  readonly dialect: SceneDialect;
  readonly provider: string;
  /** The rows' client. */
  readonly client: string;
  /** The counts that its fake names, without what was read from and written to the cache. */
  readonly tokens: readonly [input: number, read: number, write: number, output: number];
  readonly tier: string;
  /** As the answer names it. */
  readonly servedModel: string;
  /** Whether a stream is read on whose client left, because it is paid for in full. */
  readonly readsOn: boolean;
  /** The rows' error types. */
  readonly errors: { readonly inStream: string; readonly refused: string };
  /** The status of a refusal if a limit is used up, and how often the SDK asks. */
  readonly spent: { readonly status: number; readonly attempts: number };
}

const OPENAI: Expected = {
  errors: { inStream: "server_error", refused: "invalid_request_error" },
  ...{ dialect: "openai", provider: "openai", client: "openai-sdk-js" },
  tokens: [907, 36_000, 4_096, 207],
  ...{ tier: "default", servedModel: "gpt-5.5", readsOn: true },
  spent: { status: 429, attempts: 1 },
};

const CLAUDE = { tokens: [1_003, 36_000, 4_096, 207], servedModel: "claude-haiku-4-5-20251001", tier: "standard" } as const;

const EXPECTED: Readonly<Record<SdkName, Expected>> = {
  "openai-7-responses": OPENAI,
  "openai-7-chat": OPENAI,
  "openai-6-responses": OPENAI,
  "openai-6-chat": OPENAI,
  "genai": {
    errors: { inStream: "UNAVAILABLE", refused: "INVALID_ARGUMENT" },
    ...{ dialect: "gemini", provider: "gcp.gemini", client: "google-genai-sdk" },
    tokens: [1_003, 36_000, 0, 207],
    ...{ tier: "standard", servedModel: "gemini-3.8-flash", readsOn: true },
    spent: { status: 403, attempts: 1 },
  },
  "bedrock": {
    errors: { inStream: "modelStreamErrorException", refused: "ValidationException" },
    ...CLAUDE,
    tier: "default",
    ...{ dialect: "bedrock", provider: "aws.bedrock", client: "anthropic-sdk-js", readsOn: true },
    spent: { status: 429, attempts: 1 },
  },
  "vertex": {
    errors: { inStream: "overloaded_error", refused: "INVALID_ARGUMENT" },
    ...CLAUDE,
    ...{ dialect: "vertex", provider: "gcp.vertex_ai", client: "anthropic-sdk-js", readsOn: false },
    spent: { status: 429, attempts: 1 },
  },
};

const scene = await startDialectScene();
const driver = startSdkDriver();
Deno.test.afterAll(async () => {
  await driver[Symbol.asyncDispose]();
  await scene[Symbol.asyncDispose]();
});

for (const sdk of SDK_NAMES) {
  const expected = EXPECTED[sdk];
  const { dialect, readsOn } = expected;
  const upstream = scene.upstreams[dialect];

  for (const action of SDK_SCENES[sdk].actions) {
    Deno.test(`${sdk} through the proxy: ${action}. Bytes are equal, the key is the operator's, and the rows say what was used`, async () => {
      const { result, token, sandboxId } = await ran(sdk, { action });
      assert.deepEqual([result.text, result.error], [action === "count" ? String(SDK_SCENES[sdk].counted) : FINAL_ANSWER, null]);
      const passed = passedTo(scene, dialect);
      assert.equal(passed.length, action === "tool" || action === "background" ? 2 : 1);
      for (const one of passed) {
        assertHeadPassed(one, { dialect, token });
        assert.deepEqual([one.exchange.body.length, one.exchange.isBroken], [one.call.sent.length, false]);
      }
      const billed = action === "count" ? 0 : action === "background" ? 1 : passed.length;
      const rows = await scene.rowsOf(sandboxId, billed);
      assert.equal(rows.length, billed);
      if (action === "background") {
        return assertRow(await filledRow(sandboxId), { expected, outcome: "completed", accuracy: "exact" });
      }
      for (const row of rows) {
        if (action === "stream-uncounted") assertUncounted(row, expected);
        else assertRow(row, { expected, outcome: "completed", accuracy: "exact" });
        assert.equal(row.streaming, action.startsWith("stream") ? 1 : 0);
      }
    });
  }

  Deno.test(`${sdk} leaves in mid-stream: ${readsOn ? "the proxy reads on and knows what was used" : "the call ends"}`, async () => {
    const { passed: more, open } = gate();
    const { result, sandboxId } = await ran(sdk, { action: "abort", middle: more });
    assert.deepEqual([result.text, result.error], ["The ", null]);
    await scene.allLeft();
    const [call] = upstream.calls;
    if (!readsOn) await waitFor(() => call!.closedAt !== null, { what: "the end of the call" });
    open();
    const [row] = await scene.rowsOf(sandboxId, 1);
    if (readsOn) assertRow(row!, { expected, outcome: "client_left", accuracy: "exact" });
    else assert.deepEqual([row!.outcome, row!.accuracy], ["client_left", "estimated"]);
    assert.equal(call!.closedAt === null, readsOn);
    passedTo(scene, dialect);
  });

  Deno.test(`${sdk} has each piece of a stream before the next one comes`, async () => {
    const { passed: more, open } = gate();
    const begun = ran(sdk, { action: "stream", middle: more });
    // If the wait fails, its words are the test's.
    begun.catch(() => {});
    await waitFor(() => {
      const [sent, got] = [upstream.calls[0]?.sent.length ?? 0, scene.tap.exchanges()[0]?.body.length ?? 0];
      return sent > 0 && got === sent;
    }, { what: "all pieces at the client while the rest waits" });
    open();
    const { result } = await begun;
    assert.equal(result.text, FINAL_ANSWER);
  });

  for (const middle of ["cut", "end"] as const) {
    Deno.test(`${sdk} sees a broken connection if the upstream's stream has no end: ${middle}`, async () => {
      const { result, sandboxId } = await ran(sdk, { action: "stream", middle });
      assert.notEqual(result.error, null);
      assert.ok(FINAL_ANSWER.startsWith(result.text) && result.text !== FINAL_ANSWER, result.text);
      const [{ call, exchange }] = passedTo(scene, dialect) as [Passed];
      assert.deepEqual([exchange.body.length, exchange.isBroken], [call.sent.length, true]);
      const [row] = await scene.rowsOf(sandboxId, 1);
      assert.equal(row!.outcome, "upstream_broke");
    });
  }

  Deno.test(`${sdk} is told of an error in mid-stream in the upstream's own bytes, and the row has it`, async () => {
    const { result, sandboxId } = await ran(sdk, { action: "stream", middle: "error" });
    assert.ok(result.error?.message.includes(UPSTREAM_ERROR), result.error?.message);
    const [{ call, exchange }] = passedTo(scene, dialect) as [Passed];
    assert.deepEqual([exchange.body.length, exchange.isBroken], [call.sent.length, false]);
    const [row] = await scene.rowsOf(sandboxId, 1);
    assert.deepEqual([row!.outcome, row!.error_type], ["upstream_error", expected.errors.inStream]);
  });

  Deno.test(`${sdk} is told of the upstream's refusal in its own bytes, and the row has it`, async () => {
    const { result, sandboxId } = await ran(sdk, { action: "answer", instead: () => SDK_SCENES[sdk].refuses(400) });
    assert.equal(result.error?.status, 400);
    assert.ok(result.error.message.includes(UPSTREAM_ERROR), result.error.message);
    const [{ call, exchange }] = passedTo(scene, dialect) as [Passed];
    assert.deepEqual([exchange.body.length, exchange.isBroken], [call.sent.length, false]);
    const rows = await scene.rowsOf(sandboxId, 1);
    assert.deepEqual(rows.map((row) => [row.outcome, row.status, row.error_type, row.output_tokens]), [
      ["upstream_error", 400, expected.errors.refused, 0],
    ]);
  });

  Deno.test(`${sdk} ${sdk === "genai" ? "does not ask" : "asks"} again after the upstream's 503, and both calls have linked rows`, async () => {
    let count = 0;
    const refusal = { ...SDK_SCENES[sdk].refuses(503) };
    const soon = { ...refusal, headers: { ...refusal.headers, "retry-after-ms": "10" } };
    const { result, sandboxId } = await ran(sdk, { action: "answer", instead: () => count++ === 0 ? soon : null });
    const asksAgain = sdk !== "genai";
    assert.equal(result.error?.status, asksAgain ? undefined : 503);
    const rows = await scene.rowsOf(sandboxId, asksAgain ? 2 : 1);
    assert.deepEqual(rows.map(({ outcome, retry_of }) => [outcome, retry_of]), [
      ["upstream_error", null],
      ...asksAgain ? [["completed", rows[0]!.id!]] : [],
    ]);
  });

  Deno.test(`${sdk} asks ${expected.spent.attempts} time if a limit is used up, and shows our words`, async () => {
    for (const action of ["answer", "stream"] as const) {
      const { result } = await ran(sdk, { action, limit: { max_tokens_per_day: 1 } });
      assert.equal(result.error?.status, expected.spent.status, result.error?.message);
      assert.match(result.error!.message, /Quota exceeded\. .* limit of 1 tokens a day \(tokens_per_day\)/);
      assert.equal(scene.tap.exchanges().length, expected.spent.attempts);
      assert.equal(upstream.calls.length, 0);
    }
  });

  Deno.test(`${sdk} asks once with a token that we refuse, and shows our words`, async () => {
    const { result } = await ran(sdk, { action: "answer", token: "llmp_of-nobody-0123456789abcdef" });
    assert.match(result.error?.message ?? "", /invalid proxy token/);
    assert.equal(result.error?.status, 401);
    assert.equal(scene.tap.exchanges().length, 1);
    assert.equal(upstream.calls.length, 0);
  });
}

/** A response in the background says what it used when it is there: the proxy asks for it. */
function filledRow(sandboxId: string): Promise<Row> {
  return waitFor(async () => {
    const [row] = await scene.rowsOf(sandboxId, 1);
    return row!.accuracy === "exact" && row!;
  }, { what: `the usage of the response of ${sandboxId}` });
}

let runs = 0;

interface Ran {
  readonly result: SdkResult;
  readonly token: string;
  readonly sandboxId: string;
}

/** One task of the SDK, in a sandbox and a workspace of its own. */
async function ran(sdk: SdkName, { action, middle = null, instead = () => null, limit, token: given }: {
  readonly action: Task["action"];
  readonly middle?: Middle;
  readonly instead?: (call: SeenCall) => Script | null;
  readonly limit?: Readonly<Record<string, unknown>>;
  readonly token?: string;
}): Promise<Ran> {
  scene.forget();
  const sandboxId = `${sdk}-${++runs}`;
  const token = given ?? await scene.proxy.token(sandboxId, sandboxId);
  if (limit !== undefined) await quota(scene.proxy, `/${sandboxId}`, limit);
  const { fake, path, model } = SDK_SCENES[sdk];
  const { dialect } = EXPECTED[sdk];
  scene.upstreams[dialect].answer(fake({ turn: sayingAWord, middle: () => middle, instead }));
  const result = await driver.run({ sdk, action, url: scene.urlOf(dialect) + path, token, model });
  return { result, token, sandboxId };
}

function assertRow(row: Row, { expected, outcome, accuracy }: {
  readonly expected: Expected;
  readonly outcome: string;
  readonly accuracy: string;
}): void {
  const { dialect, provider, client, tokens, tier, servedModel } = expected;
  const { input_tokens, cache_read_input_tokens, cache_creation_input_tokens, output_tokens, ...rest } = row;
  assert.deepEqual([input_tokens, cache_read_input_tokens, cache_creation_input_tokens, output_tokens], tokens);
  const columns = { outcome, accuracy, provider, upstream: `the-${dialect}`, credential_id: `${dialect}-key`, client };
  const named = { ...columns, service_tier: tier, served_model: servedModel };
  assert.deepEqual(Object.fromEntries(Object.keys(named).map((name) => [name, rest[name]])), named);
}

/** The stream said nothing of its usage. */
function assertUncounted(row: Row, { provider }: Expected): void {
  assert.deepEqual([row.outcome, row.accuracy, row.provider], ["completed", "estimated", provider]);
  assert.ok(Number(row.input_tokens) > 0 && Number(row.output_tokens) > 0);
}
