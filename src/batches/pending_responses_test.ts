import assert from "node:assert/strict";
import { anthropic } from "../../tests/anthropic.ts";
import { credentialOf, onlyCredential } from "../../tests/fake_credentials.ts";
import { oneUpstream } from "../../tests/fake_upstreams.ts";
import { EMPTY_READING } from "../domain/reading.ts";
import type { Observe } from "../domain/observe.ts";
import { fetchPending } from "./pending_responses.ts";

Deno.test("fetchPending() knows the place of a response by the base URL, unless its answer names one", async () => {
  const held = credentialOf("key-1", { baseUrl: "https://eu.example" });
  const upstreams = oneUpstream({ credentials: onlyCredential("key", { holding: () => held }) });
  const source = {
    fetch: () => Promise.resolve(new Response("{}")),
    elapsed: () => 0,
    upstream: upstreams.forCall(anthropic, { workspaceId: "w", model: null, heldBy: null }),
    observe: {} as Observe,
  };
  const placeOf = async (inferenceGeo: string | null) => {
    const reading = { ...EMPTY_READING, messageId: "resp_1", isWhole: true, inferenceGeo };
    const dialect = anthropic.routes.find((route) => route.kind === "billed")!.call;
    const answer = { ...dialect.answer, parseNonStreamingResponse: () => reading };
    const geoOf = (baseUrl: string) => /^https:\/\/(\w+)\./.exec(baseUrl)?.[1] ?? null;
    const asked = { id: "resp_1", heldBy: "key-1", signal: new AbortController().signal };
    return (await fetchPending(asked, { pathOf: (id) => `/${id}`, answer, geoOf }, source))?.inferenceGeo;
  };
  assert.deepEqual([await placeOf(null), await placeOf("us")], ["eu", "us"]);
});
