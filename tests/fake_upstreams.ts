/** One upstream that takes every call. */
import type { Upstream, Upstreams } from "../src/domain/upstream.ts";
import { paymentOf } from "../src/upstream/payment.ts";
import { anthropic } from "./anthropic.ts";
import { onlyCredential } from "./fake_credentials.ts";

/** Longer than any test: a timer that is left behind fails the test that left it. */
const LONG_MS = 3_600_000;

/** Its credential is a header. */
const noFetch = () => Promise.reject(new Error("A header pays"));
const MINTS_NOTHING = { now: () => 0, fetch: noFetch, fetchDirect: noFetch };

export function oneUpstream(over: Partial<Upstream> = {}): Upstreams {
  const upstream: Upstream = {
    name: "default",
    provider: anthropic,
    seller: "anthropic",
    place: { project: null, locations: [] },
    credentials: onlyCredential("key"),
    paymentOf: (credential) => paymentOf(credential, MINTS_NOTHING),
    mayUse: () => true,
    readOnMs: 0,
    isStrict: false,
    idleMs: LONG_MS,
    drainAfterLeftMs: LONG_MS,
    userAgent: "llmproxy/test",
    ...over,
  };
  return { dialects: () => [upstream.provider], forCall: () => upstream, ofCall: () => upstream };
}
