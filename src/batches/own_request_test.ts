import assert from "node:assert/strict";
import { anthropic } from "../../tests/anthropic.ts";
import { askUpstream } from "./own_request.ts";

const AUTH = { kind: "header", header: "authorization", value: "Bearer key-1" } as const;
const PAYMENT = { signsBody: false, headersFor: () => [[AUTH.header, AUTH.value]] as const, refused: () => {} };

for (
  const [baseUrl, locations, expected] of [
    ["https://api.example/x", [], "https://api.example/x/v1/models?limit=1"],
    [
      "https://{location}-aiplatform.googleapis.com",
      ["global", "us-east5"],
      "https://aiplatform.googleapis.com/v1/models?limit=1",
    ],
    ["https://{location}.gateway.example", ["us-east5"], "https://us-east5.gateway.example/v1/models?limit=1"],
  ] as const
) {
  Deno.test(`askUpstream() asks and pays at ${expected} for ${baseUrl}`, async () => {
    const asked: [url: string, headers: Headers][] = [];
    await askUpstream("/v1/models?limit=1", {
      upstream: {
        provider: anthropic,
        place: { project: null, locations },
        paymentOf: () => PAYMENT,
        userAgent: "llmproxy/test",
      },
      credential: { id: "a", weight: 1, baseUrl, secret: "key-1", auth: AUTH },
      fetch: (url, init) => {
        asked.push([url, new Headers(init.headers)]);
        return Promise.resolve(new Response(null));
      },
      signal: new AbortController().signal,
    });
    assert.deepEqual(asked.map(([url, headers]) => [url, headers.get("authorization"), headers.get("accept-encoding")]), [
      [expected, "Bearer key-1", "identity"],
    ]);
  });
}

Deno.test("askUpstream() asks the host that has the path", async () => {
  const asked: string[] = [];
  const baseUrlFor = (baseUrl: string, path: string) => path.startsWith("/lists") ? "https://lists.example" : baseUrl;
  const provider = { ...anthropic, baseUrlFor };
  const upstream = { provider, place: { project: null, locations: [] }, paymentOf: () => PAYMENT, userAgent: "x" };
  const credential = { id: "a", weight: 1, baseUrl: "https://calls.example", secret: "s", auth: AUTH };
  const fetch = (url: string) => {
    asked.push(url);
    return Promise.resolve(new Response(null));
  };
  for (const path of ["/lists/x", "/model"]) {
    await askUpstream(path, { upstream, credential, fetch, signal: new AbortController().signal });
  }
  assert.deepEqual(asked, ["https://lists.example/lists/x", "https://calls.example/model"]);
});
