import assert from "node:assert/strict";
import { baseUrlAt } from "./place.ts";

// https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations
const VERTEX = "https://{location}-aiplatform.googleapis.com";

for (
  const [baseUrl, location, expected] of [
    [VERTEX, "europe-west1", "https://europe-west1-aiplatform.googleapis.com"],
    [VERTEX, "global", "https://aiplatform.googleapis.com"],
    [VERTEX, "us", "https://aiplatform.us.rep.googleapis.com"],
    [VERTEX, "eu", "https://aiplatform.eu.rep.googleapis.com"],
    ["https://gateway.example/vertex/{location}", "global", "https://gateway.example/vertex/global"],
    ["https://gateway.example/vertex", "us", "https://gateway.example/vertex"],
  ] as const
) {
  Deno.test(`baseUrlAt() takes calls of ${location} at ${baseUrl} to ${expected}`, () => {
    assert.equal(baseUrlAt(baseUrl, location), expected);
  });
}
