import assert from "node:assert/strict";
import { baseUrlAt } from "./located_url.ts";

Deno.test("baseUrlAt() puts a location into a URL, and knows Google's hosts that are no regions", () => {
  const google = "https://{location}-aiplatform.googleapis.com";
  assert.deepEqual(["us-east5", "global", "us", "eu"].map((location) => baseUrlAt(google, location)), [
    "https://us-east5-aiplatform.googleapis.com",
    "https://aiplatform.googleapis.com",
    "https://aiplatform.us.rep.googleapis.com",
    "https://aiplatform.eu.rep.googleapis.com",
  ]);
  assert.equal(baseUrlAt("http://127.0.0.1:8000/{location}/x", "global"), "http://127.0.0.1:8000/global/x");
  assert.equal(baseUrlAt("http://127.0.0.1:8000", "global"), "http://127.0.0.1:8000");
});
