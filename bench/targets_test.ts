import assert from "node:assert/strict";
import type { Sample } from "./measure.ts";
import { targetLines } from "./targets.ts";

const SAMPLE: Sample = {
  calls: 100,
  errors: 0,
  firstError: null,
  seconds: 1,
  events: 100,
  chunks: 100,
  whole: { p50: 1, p99: 2 },
  firstByte: { p50: 1, p99: 2 },
  event: { p50: 1, p99: 2 },
  cpuUs: 10,
  rssMb: 50,
  generatorUs: 1,
  upstreamUs: 1,
  generatorShare: 0.1,
  othersShare: 0,
};

/** Rounds of one contender: the costs of a unit, in microseconds. */
function costing(...cpu: number[]): Sample[] {
  return cpu.map((cpuUs) => ({ ...SAMPLE, cpuUs }));
}

function lineOf(work: string, rounds: Readonly<Record<string, Readonly<Record<string, Sample[]>>>>) {
  const map = new Map(Object.entries(rounds).map(([load, those]) => [load, new Map(Object.entries(those))]));
  const lines = targetLines({ rounds: map, idle: new Map([["llmproxy", 0.2]]), starts: new Map() });
  return lines.find((line) => line["target of issues 10 and 13"]!.startsWith(work))!;
}

Deno.test("targetLines() takes the median of the ratios within a round", () => {
  // Medians of the two would give 30 / 20 = 1.5.
  const small = { llmproxy: costing(10, 30, 90), e945b04: costing(20, 100, 10) };
  const line = lineOf("CPU per small call, against e945b04", { small });
  assert.deepEqual([line["figure"], line["met"]], ["0.50", "no"]);
});

Deno.test("targetLines() compares with the cheapest of several taps", () => {
  const taps = { "relay-pull": costing(40), "relay-byob": costing(10), "relay-bytes": costing(20) };
  const line = lineOf("CPU per paced event", { "paced-500": { llmproxy: costing(12), ...taps } });
  assert.deepEqual([line["figure"], line["met"]], ["1.20", "yes"]);
});

Deno.test("targetLines() compares the loads of a dialect with Anthropic's in the same process and round", () => {
  const on = (...cpu: number[]) => ({ "llmproxy-dialects": costing(...cpu) });
  const line = lineOf("CPU of gemini-burst", { "gemini-burst": on(11, 12, 90), "anthropic-burst": on(10, 10, 20) });
  assert.deepEqual([line["figure"], line["met"]], ["1.20", "no"]);
});

Deno.test("targetLines() says which targets a run did not measure, and which it met", () => {
  assert.equal(lineOf("streams of 300 events", { burst: { llmproxy: costing(1) } })["met"], "NOT MEASURED");
  assert.equal(lineOf("start to first answered call, compiled", {})["met"], "NOT MEASURED");
  assert.equal(lineOf("idle CPU", {})["met"], "yes");
});
