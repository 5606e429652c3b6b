import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { waitFor } from "../../tests/wait.ts";
import type { OperatorEvent } from "../domain/events.ts";
import { startWebhooks } from "./webhooks.ts";

const KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const EVENT: OperatorEvent = {
  type: "limit.reached",
  workspaceId: "acme",
  bound: { kind: "cost_per_day", scope: "workspace", id: "acme", max: 5_000_000_000, from: 0, until: 86_400_000 },
  percent: 80,
  used: 4_012_000_000,
};

Deno.test("send() posts the event as Standard Webhooks has it, signed", async () => {
  await using endpoint = receiver(() => 204);
  const webhooks = webhooksTo(endpoint.url);
  webhooks.send(EVENT);
  const [{ headers, text }] = await endpoint.received(1) as [Received];
  assert.deepEqual(JSON.parse(text), {
    type: "limit.reached",
    timestamp: "1970-01-01T00:00:12.000Z",
    data: {
      ...{ workspaceId: "acme", scope: "workspace", id: "acme", kind: "cost_per_day", percent: 80 },
      ...{ used: "4.012000000", max: "5.000000000", resetsAt: "1970-01-02T00:00:00.000Z" },
    },
  });
  const id = headers.get("webhook-id");
  const signed = createHmac("sha256", atob(KEY)).update(`${id}.12.${text}`).digest("base64");
  assert.deepEqual([headers.get("webhook-timestamp"), headers.get("webhook-signature")], ["12", `v1,${signed}`]);
  webhooks.end();
});

Deno.test("send() tries again with the same id until the endpoint takes it, and other events have other ids", async () => {
  const answers = [500, 302, 503, 200, 200];
  await using endpoint = receiver(() => answers.shift()!);
  const webhooks = webhooksTo(endpoint.url);
  webhooks.send(EVENT);
  const first = await endpoint.received(4);
  assert.equal(new Set(first.map(({ headers }) => headers.get("webhook-id"))).size, 1);
  webhooks.send({ ...EVENT, percent: 100 });
  const all = await endpoint.received(5);
  assert.equal(new Set(all.map(({ headers }) => headers.get("webhook-id"))).size, 2);
  webhooks.end();
});

Deno.test("send() gives a message up after its last attempt, and says so without the URL", async () => {
  await using endpoint = receiver(() => 500);
  const notes: unknown[] = [];
  const webhooks = webhooksTo(`${endpoint.url}?key=hush`, { note: (...note) => notes.push(note) });
  webhooks.send(EVENT);
  await waitFor(() => notes.length === 1, { what: "the message to be given up" });
  assert.equal((await endpoint.received(4)).length, 4);
  assert.ok(!JSON.stringify(notes).includes("hush"));
  webhooks.end();
});

Deno.test("send() waits for no endpoint that hangs, and end() lets it go", async () => {
  const held = Promise.withResolvers<number>();
  await using endpoint = receiver(() => held.promise);
  const webhooks = webhooksTo(endpoint.url);
  for (let n = 0; n < 20; n++) webhooks.send({ ...EVENT, percent: n });
  await endpoint.received(20);
  webhooks.end();
  webhooks.send(EVENT);
  held.resolve(200);
});

function webhooksTo(url: string, observe: Parameters<typeof startWebhooks>[0]["observe"] = { note: () => {} }) {
  return startWebhooks({
    ...{ url, observe, secret: () => `whsec_${KEY}`, fetch: (url, init) => fetch(url, init), now: () => 12_000 },
    pace: { timeoutMs: 10_000, retryMs: [1, 1, 1] },
  });
}

interface Received {
  readonly headers: Headers;
  readonly text: string;
}

function receiver(answer: () => number | Promise<number>) {
  const all: Received[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    all.push({ headers: request.headers, text: await request.text() });
    return new Response(null, { status: await answer(), headers: { location: "/" } });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/hook`,
    received: (count: number) => waitFor(() => all.length >= count && all, { what: `${count} messages` }),
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
