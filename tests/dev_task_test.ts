import assert from "node:assert/strict";
import { startDev } from "./dev_process.ts";

Deno.test("deno task dev prints curl lines that stream an answer and show its usage row, and ends with 0 at Ctrl-C", async () => {
  await using dev = await startDev();
  const answer = (await dev.shell(dev.streams)).stdout;
  assert.match(answer, /^event: message_start\ndata: \{/);
  assert.match(answer, /"text":"This /);
  assert.match(answer, /event: message_stop\ndata: \{"type":"message_stop"\}\n\n$/);

  const row = JSON.parse((await dev.shell(dev.shows)).stdout);
  const [usage] = row.requests;
  assert.equal(row.requests.length, 1);
  assert.deepEqual(
    [usage.sandboxId, usage.model, usage.outcome, usage.accuracy],
    ["dev-sandbox", "claude-haiku-4-5", "completed", "exact"],
  );
  const counted = /"output_tokens":(\d+)\}\}\n\nevent: message_stop/.exec(answer);
  assert.equal(usage.outputTokens, Number(counted?.[1]));
  assert.equal(await dev.stop(), 0);
});
