import assert from "node:assert/strict";
import { geoOf, unsaid } from "./request.ts";

Deno.test("geoOf() finds the region in the names of OpenAI's regional hosts alone", () => {
  const rows = [
    ["https://us.api.openai.com", "us"],
    ["https://eu.api.openai.com/v1", "eu"],
    ["https://eu.api.openai.com:443", "eu"],
    ["https://api.openai.com", null],
    ["https://eu.api.openai.com.example", null],
    ["https://gateway.example/eu.api.openai.com", null],
  ] as const;
  for (const [baseUrl, geo] of rows) assert.equal(geoOf(baseUrl), geo, baseUrl);
});

Deno.test("unsaid() knows the region and the service tier that was asked for, and no other word of the client's", () => {
  const asked = { model: "m", isStreamed: true, maxTokens: null, userId: null, speed: "priority", inferenceGeo: "eu" };
  assert.deepEqual(unsaid(asked), { inferenceGeo: "eu", speed: "priority" });
  for (const speed of [null, "auto", "default", "sk-a-secret"]) {
    assert.deepEqual(unsaid({ ...asked, speed, inferenceGeo: null }), { inferenceGeo: null }, String(speed));
  }
});
