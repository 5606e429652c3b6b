import assert from "node:assert/strict";
import { eventStream, heldBefore, messageTo } from "../fake_answers.ts";
import { messageEvents, usageOf } from "../fake_messages.ts";
import { type ProxyUnderTest, type Row, startProxy } from "../proxy_under_test.ts";
import { clientOf, saying, SDKS } from "../sdk_clients.ts";
import { waitFor } from "../wait.ts";

for (const { name, Sdk } of SDKS) {
  Deno.test(`the proxy serves ${name}, and each call leaves the rows that it should`, async (t) => {
    await using proxy = await startProxy();
    const { client } = clientOf(Sdk, { url: proxy.url, token: await proxy.token("w1", "s1") });
    const rowsSoFar = { count: 0 };
    const step = (what: string, rows: number, go: (newRows: () => readonly Row[]) => Promise<void>) =>
      t.step(what, async () => {
        await go(() => proxy.rows().slice(rowsSoFar.count));
        rowsSoFar.count += rows;
        assert.equal(proxy.rows().length, rowsSoFar.count);
      });

    await step("create", 1, async (newRows) => {
      const text = "a text that is not streamed";
      const message = await client.messages.create(saying(text));
      assert.deepEqual(message.usage, usageOf(text));
      assertRow(newRows()[0]!, { text, streaming: 0, messageId: message.id, requestId: message._request_id });
    });
    await step("stream", 1, async (newRows) => {
      const text = "a text that is streamed";
      const stream = client.messages.stream(saying(text));
      const message = await stream.finalMessage();
      assert.deepEqual(message.usage, usageOf(text));
      assertRow(newRows()[0]!, { text, streaming: 1, messageId: message.id, requestId: stream.request_id });
    });
    await step("beta stream", 1, async (newRows) => {
      const text = "a text for the beta";
      const stream = client.beta.messages.stream({ ...saying(text), betas: ["context-1m-2025-08-07"] });
      const message = await stream.finalMessage();
      assert.equal(message.usage.output_tokens, usageOf(text).output_tokens);
      assert.match(proxy.upstream.calls.at(-1)!.header("anthropic-beta") ?? "", /context-1m-2025-08-07/);
      assertRow(newRows()[0]!, { text, streaming: 1, messageId: message.id, requestId: stream.request_id });
    });
    await step("abort in mid-stream", 1, () => assertAbort(proxy, { Sdk, client, number: rowsSoFar.count }));
    await step("countTokens", 0, async () => {
      const { max_tokens: _, ...counted } = saying("seven c");
      assert.deepEqual(await client.messages.countTokens(counted), { input_tokens: 7 });
    });
    await step("models", 0, async () => {
      const ids: string[] = [];
      for await (const { id } of client.models.list()) ids.push(id);
      assert.deepEqual(ids, ["claude-opus-4-8", "claude-haiku-4-5"]);
      assert.equal((await client.models.retrieve(ids[0]!)).id, ids[0]);
    });
    await step("batches", 0, async () => {
      const requests = [{ custom_id: "c1", params: saying("a line of a batch") }];
      const made = await client.messages.batches.create({ requests });
      assert.equal((await client.messages.batches.retrieve(made.id)).id, made.id);
      assert.deepEqual(proxy.upstream.calls.at(-2)!.json(), { requests });
    });
    await t.step("every row and every batch has a trace of its own, and what else has no row has none", async () => {
      const { total } = await proxy.ask("/internal/traces");
      assert.equal(total, rowsSoFar.count + 1);
      assert.equal(new Set(proxy.rows().map(({ trace_id }) => trace_id)).size, rowsSoFar.count);
    });
  });
}

/** The first words have come when the client goes; the upstream would have had more to say. */
async function assertAbort(
  proxy: ProxyUnderTest,
  { Sdk, client, number }: {
    readonly Sdk: (typeof SDKS)[number]["Sdk"];
    readonly client: ReturnType<typeof clientOf>["client"];
    readonly number: number;
  },
): Promise<void> {
  const [text, firstDelta] = ["a text that no client waits for", 3];
  proxy.upstream.answer((call) => {
    const gone = new Promise((resolve) => call.gone.addEventListener("abort", resolve));
    return eventStream(heldBefore(messageEvents(messageTo(call)), { number: firstDelta + 1, until: gone }));
  });
  const stream = client.messages.stream(saying(text));
  stream.once("text", () => stream.abort());
  await assert.rejects(stream.finalMessage(), Sdk.APIUserAbortError);
  proxy.upstream.answer("default");
  const call = proxy.upstream.calls.at(-1)!;
  await waitFor(() => call.closedAt !== null, { what: "the upstream to see the client leave" });
  const row = (await proxy.closedRows(number + 1))[number]!;
  const { input_tokens, cache_read_input_tokens } = usageOf(text);
  const columns = {
    outcome: "client_left",
    accuracy: "estimated",
    status: 200,
    message_id: call.messageId,
    stop_reason: null,
    input_tokens,
    cache_read_input_tokens,
    // The seven characters of "word-0 ".
    output_tokens: 2,
  };
  assert.deepEqual(Object.fromEntries(Object.keys(columns).map((column) => [column, row[column]])), columns);
}

function assertRow(row: Row, expected: {
  readonly text: string;
  readonly streaming: 0 | 1;
  readonly messageId: string;
  readonly requestId: string | null | undefined;
}): void {
  const { cache_creation, service_tier, ...counts } = usageOf(expected.text);
  const columns = {
    outcome: "completed",
    accuracy: "exact",
    status: 200,
    error_type: null,
    workspace_id: "w1",
    sandbox_id: "s1",
    client: "anthropic-sdk-js",
    requested_model: "claude-haiku-4-5",
    served_model: "claude-haiku-4-5",
    message_id: expected.messageId,
    upstream_request_id: expected.requestId,
    stop_reason: "end_turn",
    streaming: expected.streaming,
    ...counts,
    cache_creation_5m_tokens: cache_creation.ephemeral_5m_input_tokens,
    cache_creation_1h_tokens: cache_creation.ephemeral_1h_input_tokens,
    service_tier,
  };
  assert.deepEqual(Object.fromEntries(Object.keys(columns).map((column) => [column, row[column]])), columns);
}
