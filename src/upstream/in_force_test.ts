import assert from "node:assert/strict";
import { BEDROCK, KEY, parse, VERTEX } from "../../tests/upstream_entries.ts";
import { upstreamsInForce } from "./in_force.ts";

Deno.test("upstreamsInForce() shows names and places, and no secret of any kind", () => {
  const paying = { name: "openai", dialect: "openai", workspaces: ["acme"], credentials: [{ name: "a", key: KEY, weight: 2 }] };
  const again = { ...VERTEX, credentials: [{ ...VERTEX.credentials[0], name: "d" }] };
  const shown = upstreamsInForce(parse([paying, BEDROCK, again]));
  assert.deepEqual(shown[0], {
    ...{ name: "openai", dialect: "openai", provider: "openai", baseUrl: "https://api.openai.com" },
    ...{ models: ["*"], workspaces: ["acme"], credentials: [{ id: "a", weight: 2, baseUrl: "https://api.openai.com" }] },
  });
  assert.equal(shown.length, 3);
  assert.doesNotMatch(JSON.stringify(shown), /hush|PRIVATE/i);
});
