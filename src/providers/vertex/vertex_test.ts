import assert from "node:assert/strict";
import { Fault } from "../../domain/fault.ts";
import { EMPTY_READING } from "../../domain/reading.ts";
import { rawPredict } from "./messages.ts";
import { placed } from "./routes.ts";
import { vertex } from "./vertex.ts";

const PLACE = { project: "team-7", locations: ["global", "us-east5"] };
const MODELS = "publishers/anthropic/models";

function factsOf(target: string, body: Readonly<Record<string, unknown>> = {}) {
  const { keys, factsOf } = rawPredict.request;
  return factsOf(new Map(keys.map((key) => [key, body[key]])), target);
}

Deno.test("factsOf() takes model, place and stream from the path, and the rest from Anthropic's body", () => {
  const path = `/v1/projects/p/locations/us-east5/${MODELS}`;
  const body = { model: "other", stream: true, max_tokens: 64, metadata: { user_id: "u" }, inference_geo: "us" };
  const rest = { maxTokens: 64, userId: "u", speed: null };
  assert.deepEqual(factsOf(`${path}/claude-sonnet-4-5@20250929:streamRawPredict`, body), {
    model: "claude-sonnet-4-5@20250929",
    isStreamed: true,
    inferenceGeo: "us-east5",
    ...rest,
  });
  const { model, isStreamed } = factsOf(`${path}/claude-sonnet-4-5%4020250929:rawPredict?alt=json`, body);
  assert.deepEqual([model, isStreamed], ["claude-sonnet-4-5@20250929", false]);
});

Deno.test("placed() puts the upstream's project in the place of the client's, and keeps the rest of the path as it is (trap 44)", () => {
  const rest = `${MODELS}/claude-sonnet-4-5%4020250929:streamRawPredict?alt=sse`;
  assert.deepEqual(placed(`/v1/projects/mallory/locations/us-east5/${rest}`, PLACE), {
    target: `/v1/projects/team-7/locations/us-east5/${rest}`,
    location: "us-east5",
  });
  assert.deepEqual(placed(`/v1/projects/x%2Fy/locations/global/endpoints/1:predict`, PLACE), {
    target: "/v1/projects/team-7/locations/global/endpoints/1:predict",
    location: "global",
  });
});

Deno.test("placed() refuses a location that the upstream does not name, in words that name those it does", () => {
  for (const location of ["europe-west1", "US-EAST5", "us-east5%00", "us"]) {
    const fault = placed(`/v1/projects/p/locations/${location}/${MODELS}/m:rawPredict`, PLACE);
    assert.ok(fault instanceof Fault, location);
    assert.equal(fault.code, "path_not_allowed");
    assert.match(fault.message, /Let the client use one of these: global, us-east5\./);
  }
});

Deno.test("placed() lets no path choose who pays: by a project alone, by a query, or if the operator named no project", () => {
  const path = `/v1/projects/p/locations/global/${MODELS}/m:rawPredict`;
  for (
    const fault of [
      placed("/v1/projects/mallory/models", PLACE),
      placed("/v1/projects/mallory", PLACE),
      placed(`${path}?$userProject=mallory`, PLACE),
      placed(path, { ...PLACE, project: null }),
    ]
  ) assert.ok(fault instanceof Fault);
});

Deno.test("placed() sends a path without a project to the first location", () => {
  assert.deepEqual(placed(vertex.checkPath, PLACE), { target: vertex.checkPath, location: "global" });
});

Deno.test("vertex.baseUrlFault() says that /v1 is missing from the base URL, with a status that Claude Code shows (trap 37)", () => {
  const said: readonly (readonly [path: string, says: RegExp])[] = [
    [`/projects/p/locations/global/${MODELS}/m:streamRawPredict`, /\/v1 is missing/],
    [`/v1/v1/projects/p/locations/global/${MODELS}/m:rawPredict`, /one \/v1 too many/],
    ["/v1beta1/projects/p/locations/global/publishers/google/models/g:generateContent", /Gemini on Vertex AI is not open/],
  ];
  for (const [path, says] of said) {
    const fault = vertex.baseUrlFault(path);
    assert.equal(fault?.code, "path_misdirected", path);
    assert.match(fault.message, says);
  }
  for (const path of ["/", "/v1/projects/p", "/v1/messages", "/v1beta/models"]) {
    assert.equal(vertex.baseUrlFault(path), null, path);
  }
});

Deno.test("vertex.refuse() stops Claude Code as it stops elsewhere: 429 in Anthropic's JSON, not to be retried (trap 24)", () => {
  const fault = new Fault("over_cost_per_day", "Used up.", { retryAfterSeconds: 3_600 });
  const { status, headers, body } = vertex.refuse(fault, { requestId: "ar-1", client: "claude-code" });
  assert.deepEqual([status, headers["x-should-retry"], JSON.parse(body).error], [429, "false", {
    type: "billing_error",
    message: "Used up.",
  }]);
});

Deno.test("parseStreamEvent() keeps the place that the path named, whatever the answer says of one", () => {
  const started = { ...EMPTY_READING, inferenceGeo: "us-east5" };
  const usage = { input_tokens: 3, output_tokens: 1, inference_geo: "not_available" };
  const data = JSON.stringify({ type: "message_start", message: { id: "msg_vrtx_1", usage } });
  const reading = rawPredict.answer.parseStreamEvent(started, { event: "message_start", data });
  assert.deepEqual([reading.inputTokens, reading.inferenceGeo], [3, "us-east5"]);
});

Deno.test("parseStreamEvent() throws on nothing", () => {
  for (const data of ["", "null", "[]", "{", '{"error":null}', '{"error":{"status":5}}', "1"]) {
    for (const event of ["", "error", "message_start"]) {
      assert.doesNotThrow(() => rawPredict.answer.parseStreamEvent(EMPTY_READING, { event, data }));
    }
  }
});
