import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import aws4 from "aws4";
import { deadline } from "../async/deadline.ts";
import { FakeMetadataService, roleKeys } from "../../tests/fake_metadata_service.ts";
import { waitFor } from "../../tests/wait.ts";
import type { AwsAuth, AwsKeys, PaidRequest, PayingHeaders } from "../domain/upstream.ts";
import { awsPayment, isUnknownToAws, mayNotList } from "./aws.ts";

const KEYS: AwsKeys = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  sessionToken: null,
};
const AT = Date.parse("2026-11-29T10:00:00Z");
const HOST = "bedrock-runtime.eu-central-1.amazonaws.com";
const REQUEST: PaidRequest = {
  method: "POST",
  url: `https://${HOST}/model/eu.anthropic.claude-opus-5-5/invoke`,
  headers: [["content-type", "application/json"]],
  body: new TextEncoder().encode("{}"),
};

function authOf(keys: AwsKeys | null, service = "bedrock"): AwsAuth {
  return { kind: "aws", region: "eu-central-1", service, keys };
}

async function headersOf(request: PaidRequest, auth: AwsAuth): Promise<Readonly<Record<string, string>>> {
  return Object.fromEntries(await awsPayment(auth, { now: () => AT }).headersFor(request));
}

/** As aws4 signs the same, which is another implementation. */
function signedByAws4({ method, url, headers, body }: PaidRequest, { paying, auth }: {
  readonly paying: Readonly<Record<string, string>>;
  readonly auth: AwsAuth;
}): string {
  const { host } = new URL(url);
  const { authorization: _, ...others } = paying;
  const sent = Object.fromEntries(headers.filter(([name]) => /^content-type$|^x-amz-/.test(name)));
  const request = {
    ...{ host, method, service: auth.service, region: auth.region },
    path: url.slice(url.indexOf(host) + host.length),
    headers: { ...sent, ...others, host },
    // It adds both to every body.
    extraHeadersToIgnore: { "content-length": true, ...("content-type" in sent ? {} : { "content-type": true }) },
    body: body === null ? "" : new TextDecoder().decode(body),
  };
  const { sessionToken, ...keys } = auth.keys!;
  const { headers: signed } = aws4.sign(request, sessionToken === null ? keys : { ...keys, sessionToken });
  return String(signed!.Authorization);
}

Deno.test("awsPayment() signs 500 seeded requests as an independent implementation does (trap 31)", async () => {
  let state = 29;
  const below = (n: number) => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return Math.floor((state >>> 0) / 2 ** 32 * n);
  };
  const oneOf = <T>(all: readonly T[]) => all[below(all.length)]!;
  const word = (letters: readonly string[], most: number) =>
    Array.from({ length: 1 + below(most) }, () => oneOf(letters)).join("");
  const PLAIN = [..."abzAZ09-._~"];
  const PATH = [...PLAIN, ..."!$&'()*+,=:@", "%2F", "%3A", "%20", "%C3%A9", "%E2%82%AC", "%F0%9F%98%80", "%2f", "%3a"];
  const QUERY = [...PLAIN, ..."!$()*,:@/", "%20", "%2B", "%26", "%3D", "%C3%A9", "%2F"];
  const counts = { encodedSlash: 0, query: 0, empty: 0, none: 0, token: 0 };
  for (let round = 0; round < 500; round++) {
    const path = Array.from({ length: 1 + below(5) }, () => `a${word(PATH, 12)}`).join("/");
    const pairs = Array.from({ length: below(4) }, () => `q${word(QUERY, 6)}${oneOf(["", "=", `=${word(QUERY, 8)}`])}`);
    const query = pairs.length === 0 ? "" : `?${pairs.join("&")}`;
    const port = oneOf(["", "", ":8443"]);
    const size = oneOf([0, 1, 300, 70_000]);
    const keys = {
      ...KEYS,
      secretAccessKey: word([...PLAIN, "/", "+"], 40),
      sessionToken: oneOf([null, word([...PLAIN, "/", "+", "="], 400)]),
    };
    const auth = authOf(keys, oneOf(["bedrock", "bedrock-mantle"]));
    const request: PaidRequest = {
      method: oneOf(["POST", "GET", "DELETE"]),
      url: `https://${oneOf([HOST, "bedrock-mantle.eu-central-1.api.aws"])}${port}/${path}${query}`,
      headers: [
        ...oneOf([[], [["content-type", "application/json; charset=utf-8"]], [["content-type", "text/plain;  a=b"]]] as const),
        ["user-agent", "aws-sdk-js/3"],
        ["accept", "*/*"],
        ["x-amzn-bedrock-service-tier", "flex"],
        ...oneOf([[], [["x-amz-meta-note", "  é  two   words "]], [["x-amz-target", "x"], ["x-amz-b", ""]]] as const),
      ],
      body: below(4) === 0 ? null : new TextEncoder().encode(word(["x", "é", "{", "\n", "€"], 9).repeat(size)),
    };
    const paying = await headersOf(request, auth);
    const says = JSON.stringify([request.method, request.url]);
    assert.equal(paying.authorization, signedByAws4(request, { paying, auth }), says);
    assert.equal(paying["x-amz-content-sha256"], createHash("sha256").update(request.body ?? new Uint8Array()).digest("hex"));
    assert.equal(paying["x-amz-security-token"] ?? null, keys.sessionToken);
    counts.encodedSlash += Number(/%2f/i.test(path));
    counts.query += Number(query !== "");
    counts.empty += Number(request.body?.length === 0);
    counts.none += Number(request.body === null);
    counts.token += Number(keys.sessionToken !== null);
  }
  for (const [kind, count] of Object.entries(counts)) assert.ok(count > 40, `${kind}: ${count}`);
});

Deno.test("awsPayment() signs the host, the content type and x-amz-*, and none of the others", async () => {
  const headers = [
    ["content-type", "application/json"],
    ["user-agent", "x"],
    ["traceparent", "00-1-2-01"],
    ["x-amzn-bedrock-service-tier", "flex"],
    ["x-amz-target", "t"],
    ["content-length", "2"],
    ["accept-encoding", "gzip"],
  ] as const;
  const paying = await headersOf({ ...REQUEST, headers }, authOf({ ...KEYS, sessionToken: "st" }));
  assert.deepEqual(Object.keys(paying), ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"]);
  assert.match(
    paying.authorization!,
    /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20261129\/eu-central-1\/bedrock\/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target, Signature=[\da-f]{64}$/,
  );
  assert.equal(paying["x-amz-date"], "20261129T100000Z");
});

Deno.test("awsPayment() signs a header that comes twice as AWS puts it together: in its order, with a comma and no space", async () => {
  const signed = (headers: PaidRequest["headers"]) => headersOf({ ...REQUEST, headers }, authOf(KEYS));
  const twice = await signed([["x-amz-meta", "b"], ["x-amz-meta", "a"]]);
  assert.deepEqual(twice, await signed([["x-amz-meta", "b,a"]]));
  assert.notDeepEqual(twice, await signed([["x-amz-meta", "b, a"]]));
});

Deno.test("awsPayment() does not sign what a client sent of its own signature", async () => {
  const own = ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"].map((name) =>
    [name, "client's"] as const
  );
  const request = { ...REQUEST, headers: [...REQUEST.headers, ...own] };
  assert.deepEqual(await headersOf(request, authOf(KEYS)), await headersOf(REQUEST, authOf(KEYS)));
});

Deno.test("awsPayment() signs for the service that the settings name, whatever the host is (trap 31)", async () => {
  const { authorization } = await headersOf(REQUEST, authOf(KEYS, "bedrock-mantle"));
  assert.match(authorization!, /\/eu-central-1\/bedrock-mantle\/aws4_request/);
});

Deno.test("isUnknownToAws() tells a credential that is not good from one that has no right", () => {
  const refuses = (status: number, type?: string) =>
    isUnknownToAws({ status, headers: new Headers(type === undefined ? {} : { "x-amzn-errortype": type }) });
  const bad = [
    "UnrecognizedClientException",
    "InvalidSignatureException:http://internal.amazon.com/coral/",
    "ExpiredTokenException",
  ];
  for (const type of bad) assert.equal(refuses(403, type), true, type);
  for (const type of ["AccessDeniedException", "", undefined]) assert.equal(refuses(403, type), false, type);
  assert.equal(refuses(400, "ExpiredTokenException"), false);
  assert.equal(refuses(401), true);
});

/** The environment is the process's, so these tests wait for each other. */
async function inEnvironment(environment: Readonly<Record<string, string>>, body: () => Promise<void>): Promise<void> {
  const before = new Map(
    Object.keys(Deno.env.toObject()).filter((name) => name.startsWith("AWS_")).map((name) => [name, Deno.env.get(name)!]),
  );
  for (const name of before.keys()) Deno.env.delete(name);
  for (const [name, value] of Object.entries(environment)) Deno.env.set(name, value);
  try {
    await body();
  } finally {
    for (const name of Object.keys(environment)) Deno.env.delete(name);
    for (const [name, value] of before) Deno.env.set(name, value);
  }
}

const MINUTE_MS = 60_000;

function keyIn(headers: PayingHeaders): string {
  return /Credential=([^/]+)/.exec(Object.fromEntries(headers).authorization!)![1]!;
}

for (const place of ["instance", "container"] as const) {
  Deno.test(`awsPayment() finds the role's keys on the ${place}, asks once for calls at the same time, and keeps them`, async () => {
    await using service = new FakeMetadataService((mint) => roleKeys(`KEY${mint}`, Date.now() + 60 * MINUTE_MS));
    await inEnvironment(service[place], async () => {
      const { headersFor } = awsPayment(authOf(null));
      const all = await Promise.all(Array.from({ length: 20 }, () => headersFor(REQUEST)));
      assert.deepEqual(new Set(all.map(keyIn)), new Set(["ASIAKEY1"]));
      assert.equal(Object.fromEntries(all[0]!)["x-amz-security-token"], "token-of-KEY1");
      assert.equal(keyIn(await headersFor(REQUEST)), "ASIAKEY1");
      assert.equal(service.mints, 1, service.seen.join());
    });
  });
}

Deno.test("awsPayment() renews the role's keys before they expire, and no call waits for that", async () => {
  const gate = Promise.withResolvers<void>();
  await using service = new FakeMetadataService(async (mint) => {
    if (mint === 2) await gate.promise;
    return roleKeys(`KEY${mint}`, Date.now() + (mint === 1 ? 4 : 60) * MINUTE_MS);
  });
  await inEnvironment(service.container, async () => {
    const { headersFor } = awsPayment(authOf(null));
    await headersFor(REQUEST);
    for (let call = 0; call < 5; call++) assert.equal(keyIn(await headersFor(REQUEST)), "ASIAKEY1");
    await waitFor(() => service.mints === 2, { what: "the renewal" });
    assert.equal(keyIn(await headersFor(REQUEST)), "ASIAKEY1");
    gate.resolve();
    await waitFor(async () => keyIn(await headersFor(REQUEST)) === "ASIAKEY2", { what: "the new keys" });
    assert.equal(service.mints, 2);
  });
});

Deno.test("awsPayment() does not use keys of a role again that have expired, or that AWS has refused", async () => {
  await using service = new FakeMetadataService((mint) =>
    roleKeys(`KEY${mint}`, Date.now() + (mint === 1 ? -1 : 60 * MINUTE_MS))
  );
  await inEnvironment(service.container, async () => {
    const { headersFor, refused } = awsPayment(authOf(null));
    assert.equal(keyIn(await headersFor(REQUEST)), "ASIAKEY1");
    assert.equal(keyIn(await headersFor(REQUEST)), "ASIAKEY2");
    refused();
    const all = await Promise.all(Array.from({ length: 5 }, () => headersFor(REQUEST)));
    assert.deepEqual(new Set(all.map(keyIn)), new Set(["ASIAKEY3"]));
    assert.equal(keyIn(await headersFor(REQUEST)), "ASIAKEY3");
    // Sandboxes can make AWS refuse a signature, and must not make the proxy ask all the time.
    refused();
    assert.equal(keyIn(await headersFor(REQUEST)), "ASIAKEY3");
    assert.equal(service.mints, 3);
  });
});

Deno.test("awsPayment() rejects in words without secrets if the machine has no keys, and finds them when it has", async () => {
  let hasRole = false;
  // V8 quotes a text that is not JSON in the error.
  await using service = new FakeMetadataService(() => hasRole ? roleKeys("KEY", Date.now() + 60 * MINUTE_MS) : "secret-of-KEY");
  await inEnvironment(service.instance, async () => {
    const { headersFor } = awsPayment(authOf(null));
    await assert.rejects(async () => await headersFor(REQUEST), (error: Error) => {
      assert.match(error.message, /^Cannot get keys of AWS for this machine: /);
      assert.ok(!/secret|token-of|ASIA/.test(Deno.inspect(error)), Deno.inspect(error));
      return true;
    });
    hasRole = true;
    assert.equal(keyIn(await headersFor(REQUEST)), "ASIAKEY");
  });
});

Deno.test("awsPayment() rejects if the machine's keys do not come within its patience", async () => {
  const gate = Promise.withResolvers<void>();
  await using service = new FakeMetadataService(async () => {
    await gate.promise;
    return roleKeys("KEY", Date.now() + 60 * MINUTE_MS);
  });
  await inEnvironment(service.container, async () => {
    const { headersFor } = awsPayment(authOf(null), { patienceMs: 20 });
    const rejects = assert.rejects(async () => await headersFor(REQUEST), /Cannot get keys of AWS/);
    await deadline(rejects, 5_000, () => new Error("It waits for the keys")).finally(gate.resolve);
    const patient = awsPayment(authOf(null));
    assert.equal(keyIn(await patient.headersFor(REQUEST)), "ASIAKEY");
  });
});

Deno.test("mayNotList() is true only of AWS's 403 about a right, which says nothing of the credential's calls", () => {
  const answer = (status: number, type: string | null) =>
    new Response(null, { status, headers: type === null ? {} : { "x-amzn-errortype": type } });
  assert.equal(mayNotList(answer(403, "AccessDeniedException")), true);
  const others: [number, string | null][] = [
    ...[[403, "UnrecognizedClientException"], [403, "ExpiredTokenException"], [403, null]] satisfies [number, string | null][],
    ...[[401, "AccessDeniedException"], [404, "UnknownOperationException"], [200, null]] satisfies [number, string | null][],
  ];
  for (const [status, type] of others) assert.equal(mayNotList(answer(status, type)), false, `${status} ${type}`);
});
