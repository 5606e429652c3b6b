import assert from "node:assert/strict";
import { Outage } from "./outage.ts";

const AWAY = { receiver: "http://receiver.test", error: new Error("away") };

Deno.test("Outage tells of its begin and its end once, however many signals and attempts fail", () => {
  const lines: string[] = [];
  let lost = 0;
  const outage = new Outage({
    note: (level, _message, fields) => void lines.push(`${level} ${fields?.signal ?? fields?.lostSpans}`),
    spansLost: (count) => void (lost += count),
  });
  outage.sent("traces");
  outage.failed("traces", AWAY);
  outage.failed("metrics", AWAY);
  outage.lost(2);
  outage.failed("traces", AWAY);
  outage.sent("traces");
  assert.deepEqual(lines, ["warn traces"]);
  outage.sent("metrics");
  assert.deepEqual(lines, ["warn traces", "info 2"]);
  outage.failed("metrics", AWAY);
  outage.sent("metrics");
  outage.end();
  assert.deepEqual(lines, ["warn traces", "info 2", "warn metrics", "info 0"]);
  outage.failed("traces", AWAY);
  outage.lost(3);
  outage.end();
  assert.deepEqual(lines.slice(4), ["warn traces", "warn 3"]);
  assert.equal(lost, 5);
});
