/** Calls to Amazon Bedrock: signed with the operator's keys, passed unchanged, and metered. */
import assert from "node:assert/strict";
import aws4 from "aws4";
import { type BedrockFixture, loadBedrockFixtures } from "../bedrock_fixtures.ts";
import { cut, type Script, type SeenCall } from "../fake_answers.ts";
import { FakeMetadataService, roleKeys } from "../fake_metadata_service.ts";
import { type FakeUpstream, startFakeUpstream } from "../fake_upstream.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { waitFor } from "../wait.ts";

const REGION = "eu-central-1";
const KEYS = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "hush/wJalrXUtnFEMI+bPxRfiCYEXAMPLEKEY" };
const PROFILE = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile";
const fixtures = new Map(loadBedrockFixtures().map((fixture) => [fixture.name, fixture]));

Deno.test("the proxy signs calls to Bedrock with the operator's keys, passes them unchanged and meters them", async (t) => {
  await using stand = await standOf(KEYS, {});
  const { proxy, upstream } = stand;
  const token = await proxy.token("acme");

  await t.step("an event stream comes out byte for byte, and its row has Anthropic's counts (trap 29)", async () => {
    const { answer, call } = await stand.ask(fixtures.get("cache_split_5m_1h")!, token);
    assert.equal(answer.status, 200);
    assert.equal(answer.contentType, "application/vnd.amazon.eventstream");
    assert.deepEqual(answer.bytes, fixtures.get("cache_split_5m_1h")!.body);
    assertSigned(call, KEYS);
    const [row] = await proxy.closedRows(1);
    assert.deepEqual(
      [row!.provider, row!.upstream, row!.outcome, row!.accuracy, row!.streaming],
      ["aws.bedrock", "bedrock", "completed", "exact", 1],
    );
    assert.deepEqual(
      [
        row!.input_tokens,
        row!.output_tokens,
        row!.cache_read_input_tokens,
        row!.cache_creation_5m_tokens,
        row!.cache_creation_1h_tokens,
      ],
      [8, 7, 900, 1200, 3800],
    );
    assert.deepEqual([row!.requested_model, row!.served_model, row!.inference_geo], [
      "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
      "claude-sonnet-4-5-20250929",
      "us",
    ]);
    assert.equal(row!.upstream_request_id, "amzn-1");
  });

  await t.step("an ARN keeps its encoded slash on the way up, and the signature fits it", async () => {
    const { answer, call } = await stand.ask(fixtures.get("application_profile")!, token);
    assert.equal(answer.status, 200);
    assert.match(call.target, /^\/model\/arn:aws:bedrock:.*application-inference-profile%2Fabc123\/invoke-with-response-stream$/);
    assertSigned(call, KEYS);
    const row = (await proxy.closedRows(2))[1]!;
    assert.equal(row.requested_model, "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123");
    assert.equal(row.inference_geo, null);
  });

  await t.step("an answer that is not streamed, with the tier of its head", async () => {
    const { answer, call } = await stand.ask(fixtures.get("json_message")!, token);
    assert.equal(answer.status, 200);
    assertSigned(call, KEYS);
    const row = (await proxy.closedRows(3))[2]!;
    assert.deepEqual([row.service_tier, row.inference_geo, row.streaming, row.output_tokens], ["priority", "regional", 0, 4]);
  });

  await t.step("an exception in the stream is the upstream's error, and the client gets it as it came", async () => {
    const fixture = fixtures.get("exception_in_mid_stream")!;
    const { answer } = await stand.ask(fixture, token);
    assert.deepEqual(answer.bytes, fixture.body);
    const row = (await proxy.closedRows(4))[3]!;
    assert.deepEqual([row.outcome, row.error_type], ["upstream_error", "modelStreamErrorException"]);
  });

  await t.step("a stream that breaks off breaks for the client too", async () => {
    await assert.rejects(() => stand.ask(fixtures.get("cut_within_message")!, token));
    const row = (await proxy.closedRows(5))[4]!;
    assert.deepEqual([row.outcome, row.accuracy], ["upstream_broke", "estimated"]);
  });

  await t.step("what is free passes signed, without a row", async () => {
    const paths = [
      "/inference-profiles?type=SYSTEM_DEFINED&maxResults=5",
      "/inference-profiles/us.anthropic.claude-opus-5-5",
      `/inference-profiles/${encodeURIComponent(`${PROFILE}/abc123`)}`,
    ];
    for (const path of paths) {
      const { status, call } = await stand.send(path, { headers: { authorization: `Bearer ${token}` } });
      assert.equal(status, 200, path);
      assert.equal(call!.target, path);
      assertSigned(call!, KEYS);
    }
    const counted = await stand.send("/model/anthropic.claude-opus-5-5/count-tokens", {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ input: { invokeModel: { body: "e30=" } } }),
    });
    assert.equal(counted.status, 200);
    assertSigned(counted.call!, KEYS);
    assert.equal((await proxy.rows()).length, 5);
  });

  await t.step("an encoded slash passes in no other place, and hides nothing (trap 30)", async () => {
    const sent = upstream.calls.length;
    const arn = encodeURIComponent(`${PROFILE}/abc123`);
    const wrong = [
      ...["GET /inference-profiles/..%2Fmodel", "GET /inference-profiles/x%2F", "GET /inference-profiles/x%2F%2Fy"],
      ...["GET /inference-profiles/x%2F..%2F..%2Fguardrails", "GET /inference-profiles/x%252Fy", "GET /inference-profiles%2Fx"],
      ...[`GET /inference-profiles/${arn}/tags`, `DELETE /inference-profiles/${arn}`],
      ...[`POST /model/${arn}/count-tokens`, `POST /model/${arn}/converse`, `POST /model%2F${arn}/invoke`],
    ];
    for (const [method, path] of wrong.map((line) => line.split(" ") as [string, string])) {
      const { status } = await stand.send(path, { method, headers: { authorization: `Bearer ${token}` } });
      assert.equal(status, 404, `${method} ${path}`);
    }
    assert.equal(upstream.calls.length, sent);
  });

  await t.step("Converse is closed, and a client with keys of its own is told what to send instead", async () => {
    const sent = upstream.calls.length;
    const body = { method: "POST", body: "{}" };
    const bearer = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const closed = await stand.send("/model/us.anthropic.claude-opus-5-5/converse", { ...body, headers: bearer });
    assert.deepEqual([closed.status, closed.headers.get("x-amzn-errortype")], [403, "AccessDeniedException"]);
    const own = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7OTHERS/20261129/us-east-1/bedrock/aws4_request, " +
      "SignedHeaders=host;x-amz-date, Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const headers = { ...bearer, authorization: own, "x-amz-date": "20261129T100000Z" };
    const signed = await stand.send("/model/us.anthropic.claude-opus-5-5/invoke", { ...body, headers });
    assert.equal(signed.status, 401);
    assert.match(JSON.parse(signed.text).message, /signed with AWS keys.*AWS_BEARER_TOKEN_BEDROCK/);
    const nova = await stand.send("/model/us.amazon.nova-pro-v1:0/invoke", { ...body, headers: bearer });
    assert.deepEqual([nova.status, nova.headers.get("x-amzn-errortype")], [400, "ValidationException"]);
    assert.match(JSON.parse(nova.text).message, /Anthropic's models/);
    // Claude Code asks so at each start, whatever its credential, and goes on.
    const bare = await stand.send("/inference-profiles?type=SYSTEM_DEFINED", {});
    assert.deepEqual([bare.status, JSON.parse(bare.text).error.type], [401, "authentication_error"]);
    const coder = {
      "user-agent": "claude-cli/2.1.332 (external, cli)",
      "x-claude-code-session-id": "s-1",
      "content-type": "application/json",
    };
    const claude = await stand.send("/model/us.anthropic.claude-opus-5-5/invoke", { ...body, headers: coder });
    assert.deepEqual([claude.status, claude.headers.get("x-should-retry"), JSON.parse(claude.text).error.type], [
      429,
      "false",
      "billing_error",
    ]);
    assert.equal(upstream.calls.length, sent);
  });

  await t.step(
    "Bedrock's own Messages API at /anthropic is signed for the service that the settings name (trap 35)",
    async () => {
      upstream.answer("default");
      const response = await fetch(`${proxy.url}/v1/messages?beta=true`, {
        method: "POST",
        headers: {
          ...{ authorization: `Bearer ${token}`, "content-type": "application/json", "anthropic-version": "2023-06-01" },
          // Left over from keys of the client's own.
          ...{ "x-amz-date": "20200101T000000Z", "x-amz-security-token": "theirs" },
        },
        body: JSON.stringify({ model: "anthropic.claude-opus-5-5", max_tokens: 9, messages: [{ role: "user", content: "hi" }] }),
      });
      assert.deepEqual([response.status, (await response.json()).type], [200, "message"]);
      const call = upstream.calls.at(-1)!;
      assert.equal(call.target, "/anthropic/v1/messages?beta=true");
      assertSigned(call, KEYS, "bedrock-mantle");
      const row = (await proxy.closedRows(6))[5]!;
      assert.deepEqual([row.upstream, row.provider, row.outcome], ["mantle", "aws.bedrock", "completed"]);
    },
  );

  await t.step("an answer that refuses the signature, and quotes it, stays here (trap 32)", async () => {
    const quoted = "The Canonical String for this request should have been 'POST hush AWS4-HMAC-SHA256'";
    upstream.answer({
      status: 403,
      headers: {
        "content-type": "application/json",
        "x-amzn-errortype": "InvalidSignatureException:http://internal.amazon.com/",
      },
      body: JSON.stringify({ message: quoted }),
    });
    const { target, request } = fixtures.get("json_message")!;
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const response = await fetch(`${proxy.url}${target}`, { method: "POST", headers, body: JSON.stringify(request) });
    assert.equal(response.status, 502);
    assert.doesNotMatch(await response.text(), /Canonical|hush/);
    const row = (await proxy.closedRows(7))[6]!;
    assert.deepEqual([row.outcome, row.status, row.error_type], ["upstream_error", 403, "UnrecognizedClientException"]);
  });

  await t.step("no key of AWS, and no signature, comes out", async () => {
    const told = await Promise.all(["/internal/upstreams", "/internal/calls", "/metrics"].map((path) => proxy.text(path)));
    assert.ok(!/hush|AWS4-HMAC|Signature=/.test([...told, proxy.output()].join()));
  });
});

Deno.test("the proxy pays Bedrock with the role of the machine, and says without secrets that it has none", async () => {
  let hasRole = false;
  await using service = new FakeMetadataService((mint) =>
    hasRole ? roleKeys(`KEY${mint}`, Date.now() + 3_600_000) : "secret-of-KEY"
  );
  await using stand = await standOf("machine", service.instance);
  const { proxy } = stand;
  const token = await proxy.token("acme");
  const fixture = fixtures.get("json_message")!;
  const refused = await stand.ask(fixture, token).then(({ answer }) => answer);
  assert.equal(refused.status, 502);
  hasRole = true;
  const calls = await Promise.all(Array.from({ length: 5 }, () => stand.ask(fixture, token)));
  const minted = service.mints;
  for (const { answer, call } of calls) {
    assert.equal(answer.status, 200);
    assert.equal(call.header("x-amz-security-token"), `token-of-KEY${minted}`);
    assertSigned(call, {
      accessKeyId: `ASIAKEY${minted}`,
      secretAccessKey: `secret-of-KEY${minted}`,
      sessionToken: `token-of-KEY${minted}`,
    });
  }
  assert.ok(!/secret-of|token-of/.test(proxy.output()));
  await waitFor(() => /Cannot get keys of AWS/.test(proxy.output()), { what: "the log" });
});

Deno.test("the proxy passes every recorded answer of Bedrock byte for byte and records its reading, whole and cut", async () => {
  await using stand = await standOf(KEYS, {});
  const token = await stand.proxy.token("acme");
  const sent: { readonly fixture: BedrockFixture; readonly where: string }[] = [];
  for (const fixture of fixtures.values()) {
    for (const size of [Infinity, 1, 2, 3, 7, 64]) {
      const where = `${fixture.name} cut at ${size}`;
      const asked = stand.ask(fixture, token, size);
      if (fixture.outcome === "upstream_broke") await assert.rejects(asked, where);
      else {
        const { answer } = await asked;
        assert.deepEqual(answer.bytes, fixture.body, where);
        assert.equal(answer.status, fixture.answer.ok ? 200 : 400, where);
      }
      sent.push({ fixture, where });
    }
  }
  const rows = await stand.proxy.closedRows(sent.length);
  sent.forEach(({ fixture: { reading, outcome }, where }, n) => {
    const { servedModel = null, stopReason = null, errorType = null, inferenceGeo = null, serviceTier = null } = reading;
    const { inputTokens = 0, cacheReadInputTokens = 0, cacheCreation5mTokens = 0, cacheCreation1hTokens = 0 } = reading;
    const row = rows[n]!;
    assert.deepEqual(
      [row.outcome, row.served_model, row.stop_reason, row.error_type, row.inference_geo, row.service_tier],
      [outcome, servedModel, stopReason, errorType, inferenceGeo, serviceTier],
      where,
    );
    const counts = [inputTokens, cacheReadInputTokens, cacheCreation5mTokens, cacheCreation1hTokens];
    if (reading.hasInput === true) {
      const named = [row.input_tokens, row.cache_read_input_tokens, row.cache_creation_5m_tokens, row.cache_creation_1h_tokens];
      assert.deepEqual(named, counts, where);
    }
    // Without a place the cost has only a bound.
    const accuracy = inferenceGeo === null ? "estimated" : "exact";
    if (reading.hasFinalOutput === true) {
      assert.deepEqual([row.output_tokens, row.accuracy], [reading.outputTokens, accuracy], where);
    } else if (reading.hasInput === true) assert.equal(row.accuracy, "estimated", where);
  });
});

/** As AWS would: by the request that came, and another implementation of the signature. */
function assertSigned(
  call: SeenCall,
  keys: { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string },
  service = "bedrock",
): void {
  const authorization = call.header("authorization")!;
  const names = /SignedHeaders=([^,]+)/.exec(authorization)![1]!.split(";");
  const headers = Object.fromEntries(names.map((name) => [name, call.header(name)!]));
  const request = {
    ...{ method: call.method, path: call.target, host: call.header("host")!, service, region: REGION, headers },
    body: call.bodyBytes === 0 ? "" : new TextDecoder().decode(call.body),
    extraHeadersToIgnore: { "content-length": true, ...("content-type" in headers ? {} : { "content-type": true }) },
  };
  delete headers["x-amz-content-sha256"];
  const claimed = call.header("x-amz-content-sha256");
  assert.equal(claimed, call.bodyBytes === 0 ? EMPTY_SHA256 : call.bodySha256);
  headers["x-amz-content-sha256"] = claimed!;
  assert.equal(aws4.sign(request, keys).headers!.Authorization, authorization, call.target);
}

const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

interface Stand extends AsyncDisposable {
  readonly proxy: ProxyProcess;
  readonly upstream: FakeUpstream;
  /** Sends the fixture's request, which is answered as it says. Rejects if the answer breaks. */
  readonly ask: (fixture: BedrockFixture, token: string, size?: number) => Promise<{
    readonly answer: { readonly status: number; readonly contentType: string | null; readonly bytes: Uint8Array };
    readonly call: SeenCall;
  }>;
  /** `call`: what came upstream, or null. */
  readonly send: (path: string, init: RequestInit) => Promise<{
    readonly status: number;
    readonly headers: Headers;
    readonly text: string;
    readonly call: SeenCall | null;
  }>;
}

async function standOf(aws: unknown, env: Readonly<Record<string, string>>): Promise<Stand> {
  const stack = new AsyncDisposableStack();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  stack.defer(() => Deno.remove(dataDir, { recursive: true }));
  const upstream = stack.use(await startFakeUpstream());
  const entry = {
    ...{ name: "bedrock", dialect: "bedrock", baseUrl: upstream.url, region: REGION },
    ...{ models: ["*", `${PROFILE}/*`, "arn:aws:bedrock:us-east-1:123456789012:*"], credentials: [{ name: "bedrock-key", aws }] },
  };
  const path = `${dataDir}/upstreams.json`;
  const mantle = {
    ...{ name: "mantle", dialect: "anthropic", provider: "aws.bedrock", baseUrl: `${upstream.url}/anthropic`, region: REGION },
    credentials: [{ name: "mantle-key", aws: aws === "machine" ? aws : { ...KEYS, service: "bedrock-mantle" } }],
  };
  await Deno.writeTextFile(path, JSON.stringify([entry, mantle]));
  const settings = { ANTHROPIC_API_KEY: "", ANTHROPIC_BASE_URL: "", LLMPROXY_UPSTREAMS_FILE: path, ...env };
  const proxy = stack.use(await startProxyProcess({ upstreamUrl: "", dataDir, env: settings }));
  const url = `${proxy.url}/bedrock`;
  const ask: Stand["ask"] = async ({ target, request, answer, body }, token, size = Infinity) => {
    upstream.answer(answerOf({ answer, body }, size));
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", accept: "*/*" };
    const response = await fetch(url + target, { method: "POST", headers, body: JSON.stringify(request) });
    const bytes = await response.bytes();
    const call = upstream.calls.findLast((seen) => seen.target === target)!;
    return { answer: { status: response.status, contentType: response.headers.get("content-type"), bytes }, call };
  };
  const send: Stand["send"] = async (path, init) => {
    const before = upstream.calls.length;
    upstream.answer(answerOf({ answer: { headers: new Headers(), ok: true }, body: new TextEncoder().encode("{}") }));
    const response = await fetch(url + path, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, call: upstream.calls[before] ?? null };
  };
  const moved = stack.move();
  return { proxy, upstream, ask, send, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

function answerOf({ answer, body }: Pick<BedrockFixture, "answer" | "body">, size = Infinity): Script {
  return {
    status: answer.ok ? 200 : 400,
    headers: { ...Object.fromEntries(answer.headers), "x-amzn-requestid": "amzn-1" },
    body: cut(body, Math.min(size, body.length)),
    framing: "chunked",
  };
}
