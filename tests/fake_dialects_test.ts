/** The SDKs of the vendors read what the fakes of their APIs answer. */
import assert from "node:assert/strict";
import { SDK_NAMES, type SdkDriver, type SdkName, startSdkDriver, type Task } from "./client_sdks.ts";
import { startFakeUpstream } from "./fake_upstream.ts";
import { FINAL_ANSWER, type Middle } from "./scripted_turns.ts";
import { sayingAWord, SDK_SCENES, type SdkScene } from "./sdk_scenes.ts";

let driver: SdkDriver | null = null;
Deno.test.afterAll(async () => await driver?.[Symbol.asyncDispose]());

for (const sdk of SDK_NAMES) {
  for (const action of SDK_SCENES[sdk].actions) {
    Deno.test(`the fake of ${sdk} answers its SDK: ${action}`, async () => {
      const { text, error } = await ran(sdk, { action });
      assert.deepEqual([text, error], [action === "count" ? String(SDK_SCENES[sdk].counted) : FINAL_ANSWER, null]);
    });
  }

  Deno.test(`the fake of ${sdk} breaks a stream in its middle, and its SDK throws`, async () => {
    const { text, error } = await ran(sdk, { action: "stream", middle: "cut" });
    assert.notEqual(error, null);
    assert.ok(text !== FINAL_ANSWER && FINAL_ANSWER.startsWith(text), text);
  });
}

Deno.test("the fake of Responses numbers its events, echoes the request three times and ends without [DONE]", async () => {
  const text = await streamOf({ ...SDK_SCENES["openai-7-responses"], target: "/v1/responses" }, { instructions: "Be brief." });
  const events = text.split("\n\n").slice(0, -1).map((event) => JSON.parse(event.slice(event.indexOf("data: ") + 6)));
  assert.deepEqual(events.map(({ sequence_number }) => sequence_number), events.map((_, n) => n));
  assert.deepEqual(events.filter(({ response }) => response?.instructions === "Be brief.").map(({ type }) => type), [
    ...["response.created", "response.in_progress", "response.completed"],
  ]);
});

Deno.test("the fake of Chat Completions counts only if it is asked, in a chunk without a choice before [DONE]", async () => {
  const scene = { ...SDK_SCENES["openai-7-chat"], target: "/v1/chat/completions" };
  assert.doesNotMatch(await streamOf(scene, {}), /usage/);
  const lines = (await streamOf(scene, { stream_options: { include_usage: true } })).trim().split("\n\n");
  assert.equal(lines.pop(), "data: [DONE]");
  const chunks = lines.map((line) => JSON.parse(line.slice(6)));
  assert.deepEqual(chunks.pop().choices, []);
  for (const { usage } of chunks) assert.equal(usage, null);
});

Deno.test("the fake of Gemini ends its lines with CRLF, and is one JSON array without alt=sse", async () => {
  const target = "/v1beta/models/gemini-3.8-flash:streamGenerateContent";
  const lines = await streamOf({ ...SDK_SCENES.genai, target: `${target}?alt=sse` }, {});
  const chunks = lines.split("\r\n\r\n").slice(0, -1).map((line) => JSON.parse(line.slice(6)));
  const array = JSON.parse(await streamOf({ ...SDK_SCENES.genai, target }, {}));
  assert.equal(array.length, chunks.length);
  for (const parsed of [chunks, array]) {
    assert.deepEqual(parsed.map(({ candidates }: { candidates: { finishReason?: string }[] }) => candidates[0]!.finishReason), [
      ...Array.from({ length: chunks.length - 1 }, () => undefined),
      "STOP",
    ]);
  }
});

async function streamOf({ fake, model, target }: SdkScene & { readonly target: string }, asked: object): Promise<string> {
  await using upstream = await startFakeUpstream();
  upstream.answer(fake({ turn: sayingAWord }));
  const body = JSON.stringify({ model, stream: true, ...asked });
  return await (await fetch(upstream.url + target, { method: "POST", body })).text();
}

/** What the SDK makes of its fake, without a proxy. */
async function ran(sdk: SdkName, { action, middle = null }: { readonly action: Task["action"]; readonly middle?: Middle }) {
  await using upstream = await startFakeUpstream();
  const { fake, path, model } = SDK_SCENES[sdk];
  upstream.answer(fake({ turn: sayingAWord, middle: () => middle }));
  driver ??= startSdkDriver();
  return await driver.run({ sdk, action, url: upstream.url + path, token: "a-token", model });
}
