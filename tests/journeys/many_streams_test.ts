import assert from "node:assert/strict";
import { streamed } from "../fake_answers.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { assertExactRows, callAndRead, type SeenAnswer, textOf } from "../metered_calls.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { metricOf } from "../process_metrics.ts";
import { startTlsUpstream } from "../tls_upstream.ts";

const STREAMS = 200;
/** How long each stream takes: CONTRIBUTING.md says when it is 20. */
const SECONDS = Number(Deno.env.get("SOAK_SECONDS") || 3);
const DELTAS = SECONDS * 10;
const EVENTS_BESIDES_DELTAS = 6;
const PACE_MS = SECONDS * 1_000 / (DELTAS + EVENTS_BESIDES_DELTAS - 1);
const MOST_GROWTH = 1.1;
const MOST_ROUNDS = 5;

Deno.test(`the proxy records each of ${STREAMS} streams at once exactly, and has after a second round the memory of the first`, async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  await using upstream = await startFakeUpstream();
  upstream.answer(streamed({ deltas: DELTAS, paceMs: PACE_MS }));
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
    const token = await proxy.token();
    const answers: SeenAnswer[] = [];
    const residents: number[] = [];
    // When the collector runs is chance, a leak is not: it grows with every round, so one round
    // without growth acquits.
    for (let isAcquitted = false; !isAcquitted && residents.length < MOST_ROUNDS;) {
      answers.push(...await round(proxy, { token, from: answers.length }));
      residents.push(await metricOf(proxy, "llmproxy_resident_memory_bytes"));
      isAcquitted = residents.length > 1 && residents.at(-1)! <= residents.at(-2)! * MOST_GROWTH;
    }
    assertExactRows(await proxy.closedRows(answers.length), answers);
    assert.equal(upstream.calls.length, answers.length);
    assert.equal(upstream.mostInFlight, STREAMS);
    assert.ok(residents.at(-1)! <= residents.at(-2)! * MOST_GROWTH, `bytes after each round: ${residents}`);
  }
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test(`the proxy keeps none of ${STREAMS} streams waiting for another where a TLS upstream allows 50 an HTTP/2 connection`, async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  await using upstream = await startTlsUpstream({ deltas: DELTAS, durationMs: SECONDS * 1_000, streamsPerConnection: 50 });
  await Deno.writeTextFile(`${dataDir}/ca.pem`, upstream.caPem);
  {
    const env = { LLMPROXY_CA_FILE: `${dataDir}/ca.pem` };
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
    const answers = await round(proxy, { token: await proxy.token(), from: 0 });
    // Whatever was asked, this upstream charges for "tls".
    assertExactRows(await proxy.closedRows(STREAMS), answers.map((answer) => ({ ...answer, text: "tls" })));
    assert.equal(upstream.calls["1.1"] + upstream.calls["2.0"], STREAMS);
    assert.equal(upstream.mostInFlight, STREAMS, "some began only when others had ended");
  }
  await Deno.remove(dataDir, { recursive: true });
});

function round(proxy: ProxyProcess, { token, from }: { readonly token: string; readonly from: number }): Promise<SeenAnswer[]> {
  return Promise.all(Array.from({ length: STREAMS }, (_, n) => callAndRead(proxy.url, { token, text: textOf(from + n) })));
}
