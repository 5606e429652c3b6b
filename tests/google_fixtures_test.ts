/** Recorded answers of Google's dialects, read as those of calls. Each has the path asked for. */
import assert from "node:assert/strict";
import { AnswerReader } from "../src/call/answer_reader.ts";
import type { CallDialect, Provider } from "../src/domain/provider.ts";
import { EMPTY_READING, type UsageReading } from "../src/domain/reading.ts";
import { gemini } from "../src/providers/gemini/gemini.ts";
import { vertex } from "../src/providers/vertex/vertex.ts";
import { SseReader } from "../src/wire/sse.ts";
import { decodedBodyOf, type Fixture, GOOGLE, loadFixturesOf } from "./fixtures.ts";

const CUTS = [Infinity, 1, 2, 3, 7, 64];
const PROVIDERS: readonly Provider[] = [gemini, vertex];

interface Recorded {
  /** Path and query of the request. */
  readonly target: string;
  readonly outcome: string;
}

const cases = GOOGLE.flatMap(loadFixturesOf).flatMap((fixture) => {
  const provider = PROVIDERS.find(({ name }) => name === fixture.provider);
  if (provider === undefined) return [];
  const recorded: Recorded = JSON.parse(
    Deno.readTextFileSync(new URL(`./fixtures/${provider.name}/${fixture.name}/call.json`, import.meta.url)),
  );
  return [{ fixture, provider, ...recorded }];
});

for (const { fixture, provider, target, outcome } of cases) {
  Deno.test(`AnswerReader reads ${provider.name}/${fixture.name} as its reading.json, whole and cut at 1, 2, 3, 7 and 64 bytes`, async () => {
    const expected: UsageReading = { ...EMPTY_READING, ...fixture.expected };
    for (const cut of CUTS) {
      const read = await readCall(fixture, { provider, target, cut });
      assert.deepEqual(read.reading, expected, `cut at ${cut}`);
      assert.equal(read.outcome, outcome, `cut at ${cut}`);
    }
  });
}

for (const { fixture, provider } of cases.filter(({ fixture }) => fixture.contentType.startsWith("text/event-stream"))) {
  Deno.test(`parseDeltas() changes nothing of what ${provider.name}/${fixture.name} is read as`, async () => {
    const body = await decodedBodyOf(fixture);
    const { answer } = callOf(provider);
    const readings = [true, false].map((skips) => {
      let reading = EMPTY_READING;
      const events = new SseReader({
        maxEventBytes: 1024 * 1024,
        onEvent: (event) => reading = answer.parseStreamEvent(reading, event),
        skip(text, from) {
          if (!skips) return from;
          const read = answer.parseDeltas(reading, text, from);
          reading = read.reading;
          return read.to;
        },
      });
      events.push(body);
      events.end();
      return reading;
    });
    assert.deepEqual(readings[0], readings[1]);
  });
}

for (const { fixture, provider } of cases.filter(({ fixture }) => fixture.contentType === "application/json")) {
  Deno.test(`parseNonStreamingResponse() reads ${provider.name}/${fixture.name} from its answerKeys alone, and nothing of a cut body`, async () => {
    const body = new TextDecoder().decode(await decodedBodyOf(fixture));
    const { answer } = callOf(provider);
    const kept = Object.entries(JSON.parse(body)).filter(([key]) => answer.answerKeys.includes(key));
    assert.deepEqual(
      answer.parseNonStreamingResponse(body),
      answer.parseNonStreamingResponse(JSON.stringify(Object.fromEntries(kept))),
    );
    for (let end = 0; end < body.trimEnd().length; end++) {
      assert.equal(answer.parseNonStreamingResponse(body.slice(0, end)), EMPTY_READING, `cut off at ${end}`);
    }
  });
}

Deno.test("loadFixturesOf() gives at least twelve streams of each of Google's dialects, whose paths name the model", () => {
  for (const provider of PROVIDERS) {
    const own = cases.filter((recorded) => recorded.provider === provider);
    const streams = own.filter(({ fixture }) => fixture.contentType.startsWith("text/event-stream"));
    assert.ok(streams.length >= 12, provider.name);
    for (const { fixture, target } of own) {
      assert.deepEqual(Object.keys(fixture.expected).filter((key) => !(key in EMPTY_READING)), [], fixture.name);
      const { factsOf } = callOf(provider).request;
      assert.notEqual(factsOf(new Map(), target).model, "", fixture.name);
      assert.equal(factsOf(new Map(), target).isStreamed, /:stream/.test(target), fixture.name);
    }
  }
});

/** All billed calls of Google's dialects are answered in one way. */
function callOf({ routes }: Provider): CallDialect {
  const route = routes.find(({ kind }) => kind === "billed");
  if (route?.kind !== "billed") throw new Error("The provider has no billed route");
  return route.call;
}

async function readCall(
  fixture: Fixture,
  { provider, target, cut }: { readonly provider: Provider; readonly target: string; readonly cut: number },
) {
  const { request, answer } = callOf(provider);
  const body = JSON.parse(new TextDecoder().decode(fixture.request));
  const asked = request.factsOf(new Map(request.keys.map((key) => [key, body[key]])), target);
  const { status, contentType } = fixture;
  const head = new Response(null, { status, headers: { "content-type": contentType, ...fixture.headers } });
  const reader = new AnswerReader(head, { dialect: answer, asked });
  for (let from = 0; from < fixture.body.length; from += cut) {
    await reader.push(fixture.body.subarray(from, Math.min(from + cut, fixture.body.length)));
  }
  const outcome = await reader.end();
  reader.close();
  return { reading: reader.reading, outcome };
}
