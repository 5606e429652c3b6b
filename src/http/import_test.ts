import assert from "node:assert/strict";
import { openAdmin } from "../../tests/admin_under_test.ts";

const USAGE = {
  id: "ar-1",
  sandboxId: "s",
  workspaceId: "w",
  provider: "anthropic",
  model: "m",
  inputTokens: 1,
  outputTokens: 1,
  cacheCreationInputTokens: 0,
  cacheReadInputTokens: 0,
  streaming: false,
  duration: 1,
  ttft: 0,
  createdAt: "2026-01-31T12:00:00Z",
};

Deno.test("/internal/import imports nothing of a batch that it cannot read, and names the place", async () => {
  await using admin = await openAdmin();
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{ usage: [USAGE, { ...USAGE, inputTokens: -1 }] }, /"usage\.1\.inputTokens"/],
    [{ usage: [{ ...USAGE, outputTokens: 2 ** 53 }] }, /"usage\.0\.outputTokens"/],
    [{ usage: [{ ...USAGE, duration: 367 * 86_400_000 }] }, /"usage\.0\.duration"/],
    [{ usage: [{ ...USAGE, createdAt: "yesterday" }] }, /"usage\.0\.createdAt"/],
    [{ traces: [{ id: "at-1" }] }, /"traces\.0\./],
    [{ usage: Array(201).fill(USAGE) }, /"usage"/],
    [{ rows: [] }, /the body/],
    [[], /the body/],
  ];
  for (const [body, says] of cases) {
    const { status, json } = await admin.ask("/internal/import", { method: "POST", body: JSON.stringify(body) });
    assert.equal(status, 400, JSON.stringify(body).slice(0, 100));
    assert.match(json.error.message, says);
  }
  assert.deepEqual(admin.notes, []);
});
