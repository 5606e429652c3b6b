/** The real proxy with an upstream of each dialect behind it, and a tap in front. */
import assert from "node:assert/strict";
import type { FakeUpstreamOptions } from "./fake_upstream.ts";
import { type FakeUpstream, startFakeUpstream } from "./fake_upstream.ts";
import type { SeenCall } from "./fake_answers.ts";
import { HURRIED } from "./hurried_pace.ts";
import { type ProxyUnderTest, type Row, startProxy } from "./proxy_under_test.ts";
import { waitFor } from "./wait.ts";
import { type Exchange, startWireTap, type WireTap } from "./wire_tap.ts";

export const SCENE_DIALECTS = ["openai", "bedrock", "vertex", "gemini"] as const;
export type SceneDialect = typeof SCENE_DIALECTS[number];

/** The operator's key of each upstream, which may come out nowhere but there. */
export const SCENE_KEYS: Readonly<Record<SceneDialect, string>> = {
  openai: "sk-operator-of-openai-0123456789",
  bedrock: "bedrock-operator-0123456789",
  vertex: "ya29.operator-of-vertex-0123456789",
  gemini: "AIza-operator-of-gemini-0123456789",
};

/** What each upstream says besides its name, key and base URL. */
const MORE: Readonly<Record<SceneDialect, object>> = {
  openai: {},
  bedrock: { region: "us-east-1" },
  vertex: { project: "project-of-the-operator", locations: ["global"] },
  gemini: {},
};

export interface DialectScene extends AsyncDisposable {
  readonly proxy: ProxyUnderTest;
  /** Clients speak to this one. */
  readonly tap: WireTap;
  readonly upstreams: Readonly<Record<SceneDialect, FakeUpstream>>;
  /** The base URL of a dialect, without the API's version. */
  readonly urlOf: (dialect: SceneDialect) => string;
  /** The rows of that sandbox, as soon as there are that many and all are closed and linked. */
  readonly rowsOf: (sandboxId: string, count: number) => Promise<readonly Row[]>;
  /** Resolves when every client that was being answered has left, and the proxy knows. */
  readonly allLeft: () => Promise<void>;
  /** Forgets what came so far. */
  readonly forget: () => void;
}

export async function startDialectScene(): Promise<DialectScene> {
  const options: FakeUpstreamOptions = { keepsAnswers: true };
  const started = await Promise.all(SCENE_DIALECTS.map(async (name) => [name, await startFakeUpstream(options)] as const));
  const upstreams = Object.fromEntries(started) as Record<SceneDialect, FakeUpstream>;
  const file = await Deno.makeTempFile({ suffix: ".json" });
  const entries = SCENE_DIALECTS.map((name) => ({
    ...{ name: `the-${name}`, dialect: name, baseUrl: upstreams[name].url, ...MORE[name] },
    credentials: [{ name: `${name}-key`, key: SCENE_KEYS[name] }],
  }));
  await Deno.writeTextFile(file, JSON.stringify(entries));
  const proxy = await startProxy({
    env: { LLMPROXY_UPSTREAMS_FILE: file, LLMPROXY_QUEUE_SECONDS: "0" },
    system: { batchPace: HURRIED },
  });
  const tap = await startWireTap(proxy.url);
  return {
    proxy,
    tap,
    upstreams,
    urlOf: (dialect) => `${tap.url}/${dialect}`,
    rowsOf: (sandboxId, count) =>
      waitFor(async () => {
        const rows = (await proxy.closedRows(0)).filter(({ sandbox_id }) => sandbox_id === sandboxId);
        return rows.length >= count && rows;
      }, { what: `${count} closed rows of ${sandboxId}` }),
    allLeft: async () => {
      const isAnswered = ({ status, isLeft }: Exchange) => status !== 200 || isLeft;
      await waitFor(() => tap.exchanges().every(isAnswered), { what: "the clients' leave" });
      // What comes after the reset of a connection is served after it.
      for (let n = 0; n < 3; n++) await (await fetch(`${proxy.url}/healthz`)).body?.cancel();
    },
    forget: () => {
      tap.forget();
      for (const upstream of Object.values(upstreams)) upstream.forget();
    },
    [Symbol.asyncDispose]: async () => {
      await tap[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
      for (const upstream of Object.values(upstreams)) await upstream[Symbol.asyncDispose]();
      await Deno.remove(file);
    },
  };
}

/** A call at an upstream, and the exchange between client and proxy that it belongs to. */
export interface Passed {
  readonly call: SeenCall;
  readonly exchange: Exchange;
}

/**
 * Fails unless each call at the upstream is one that a client made, with the same bytes. It leaves
 * out the proxy's own, such as for a response in the background.
 */
export function passedTo(scene: DialectScene, dialect: SceneDialect): readonly Passed[] {
  const left = [...scene.tap.exchanges()];
  const calls = scene.upstreams[dialect].calls.filter((call) => !/^llmproxy\b/.test(call.header("user-agent") ?? ""));
  return calls.map((call) => {
    const at = left.findIndex(({ request, requestBody, body }) =>
      request.method === call.method && same(requestBody, call.body) && same(body, call.sent.subarray(0, body.length))
    );
    assert.ok(at >= 0, `no client sent ${call.method} ${call.target} with ${call.bodyBytes} bytes, and got what was answered`);
    return { call, exchange: left.splice(at, 1)[0]! };
  });
}

/** Headers that belong to one hop, or that pay. */
const REPLACED = new Set(["host", "connection", "content-length", "transfer-encoding", "accept-encoding", "accept-language"]);
const PAYING = new Set(["authorization", "x-api-key", "x-goog-api-key"]);

/**
 * Fails unless the upstream got the client's target and headers, and the operator's key in place of
 * the token.
 */
export function assertHeadPassed(
  { call, exchange }: Passed,
  { dialect, token }: { readonly dialect: SceneDialect; readonly token: string },
) {
  const kept = (headers: Exchange["request"]["rawHeaders"]) =>
    headers.filter(([name]) => !REPLACED.has(name.toLowerCase()) && !PAYING.has(name.toLowerCase()))
      .map(([name, value]) => `${name.toLowerCase()}: ${value}`).sort();
  const target = exchange.request.target.replace(`/${dialect}/`, "/").replace(
    /\/projects\/[^/]+/,
    "/projects/project-of-the-operator",
  );
  assert.equal(call.target, target);
  assert.deepEqual(kept(call.rawHeaders), kept(exchange.request.rawHeaders));
  const paying = call.rawHeaders.filter(([name]) => PAYING.has(name.toLowerCase())).map(([, value]) => value);
  assert.deepEqual(paying.map((value) => value.replace("Bearer ", "")), [SCENE_KEYS[dialect]]);
  assert.ok(!JSON.stringify([call.rawHeaders, call.target]).includes(token));
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, n) => byte === b[n]);
}
