import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { waitFor } from "../../tests/wait.ts";
import type { PaidRequest, PayingHeaders, Payment } from "../domain/upstream.ts";
import { googlePayment } from "./google.ts";

const { privateKey, publicKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" },
});
const REQUEST: PaidRequest = { method: "POST", url: "https://us-east5-aiplatform.googleapis.com/v1/x", headers: [], body: null };
const START = Date.parse("2026-11-29T10:00:00Z");
const MINUTE = 60_000;

/** A token server, or a metadata server, over HTTP. */
class FakeServer {
  /** The requests so far. */
  readonly asked: { readonly method: string; readonly path: string; readonly headers: Headers; readonly body: string }[] = [];
  /** What the next answers are; the default is a token that names its number. */
  answer: (n: number) => Response | Promise<Response> = (n) => Response.json({ access_token: `ya29.t${n}`, expires_in: 3_600 });
  readonly #server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { method, headers, url } = request;
    this.asked.push({ method, path: new URL(url).pathname, headers, body: await request.text() });
    return await this.answer(this.asked.length);
  });

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

interface Scene {
  readonly server: FakeServer;
  readonly payment: Payment;
  now: number;
}

function fetchPlainly(url: string, init: RequestInit): Promise<Response> {
  return fetch(url, init);
}

function never(): Promise<Response> {
  return Promise.reject(new Error("The wrong way out"));
}

function keyFileFor({ url }: { readonly url: string }, changes: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    type: "service_account",
    project_id: "team-7",
    private_key_id: "k1",
    private_key: privateKey,
    client_email: "proxy@team-7.iam.gserviceaccount.com",
    token_uri: `${url}/token`,
    ...changes,
  });
}

/** `account`: by its key file, or the machine's. */
function sceneOf(
  server: FakeServer,
  { account = "key", patienceMs = 5_000, keyFile = keyFileFor(server) }: {
    readonly account?: "key" | "machine";
    readonly patienceMs?: number;
    readonly keyFile?: string;
  } = {},
): Scene {
  const isKey = account === "key";
  const scene: Scene = {
    server,
    now: START,
    payment: googlePayment({ kind: "google", keyFile: isKey ? keyFile : null }, {
      now: () => scene.now,
      fetch: isKey ? fetchPlainly : never,
      fetchDirect: isKey ? never : fetchPlainly,
      patienceMs,
      metadataUrl: server.url,
    }),
  };
  return scene;
}

async function payingOf({ payment }: Scene): Promise<PayingHeaders> {
  return await payment.headersFor(REQUEST);
}

function bearer(n: number): PayingHeaders {
  return [["authorization", `Bearer ya29.t${n}`]];
}

/** What a failing payment says, with its causes. */
async function troubleOf(scene: Scene): Promise<string> {
  const error = await Promise.resolve(scene.payment.headersFor(REQUEST)).then(() => assert.fail("It paid"), (reason) => reason);
  return Deno.inspect(error, { depth: 9 });
}

Deno.test("googlePayment() asks the key file's token server with an assertion that the account has signed", async () => {
  await using server = new FakeServer();
  assert.deepEqual(await payingOf(sceneOf(server)), bearer(1));
  const [{ method, path, headers, body } = assert.fail()] = server.asked;
  assert.deepEqual([method, path], ["POST", "/token"]);
  assert.match(headers.get("content-type") ?? "", /^application\/x-www-form-urlencoded/);
  const form = new URLSearchParams(body);
  assert.equal(form.get("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
  const [head, claims, signature] = form.get("assertion")!.split(".").map((part) => part);
  const decoded = (part: string) => JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(part, { alphabet: "base64url" })));
  assert.deepEqual(decoded(head!), { alg: "RS256", typ: "JWT", kid: "k1" });
  assert.deepEqual(decoded(claims!), {
    iss: "proxy@team-7.iam.gserviceaccount.com",
    scope: "https://www.googleapis.com/auth/cloud-platform",
    aud: `${server.url}/token`,
    iat: START / 1_000,
    exp: START / 1_000 + 3_600,
  });
  const signed = new TextEncoder().encode(`${head}.${claims}`);
  assert.ok(verify("sha256", signed, createPublicKey(publicKey), Uint8Array.fromBase64(signature!, { alphabet: "base64url" })));
});

Deno.test("googlePayment() asks the machine's metadata server directly, as that wants to be asked", async () => {
  await using server = new FakeServer();
  assert.deepEqual(await payingOf(sceneOf(server, { account: "machine" })), bearer(1));
  const [{ method, path, headers } = assert.fail()] = server.asked;
  assert.deepEqual([method, path], ["GET", "/computeMetadata/v1/instance/service-accounts/default/token"]);
  assert.equal(headers.get("metadata-flavor"), "Google");
});

Deno.test("googlePayment() mints once for all concurrent calls, and later calls need not wait", async () => {
  await using server = new FakeServer();
  const scene = sceneOf(server);
  const all = await Promise.all(Array.from({ length: 50 }, () => payingOf(scene)));
  assert.deepEqual(new Set(all.map((paying) => JSON.stringify(paying))), new Set([JSON.stringify(bearer(1))]));
  scene.now += 50 * MINUTE;
  assert.deepEqual(scene.payment.headersFor(REQUEST), bearer(1));
  assert.equal(server.asked.length, 1);
});

Deno.test("googlePayment() renews a token five minutes early, while calls use the old one", async () => {
  await using server = new FakeServer();
  const scene = sceneOf(server);
  await payingOf(scene);
  scene.now += 55 * MINUTE - 1;
  assert.deepEqual(scene.payment.headersFor(REQUEST), bearer(1));
  assert.equal(server.asked.length, 1);
  scene.now += 1;
  const gate = Promise.withResolvers<void>();
  server.answer = async (n) => {
    await gate.promise;
    return Response.json({ access_token: `ya29.t${n}`, expires_in: 3_600 });
  };
  for (let call = 0; call < 10; call++) assert.deepEqual(scene.payment.headersFor(REQUEST), bearer(1));
  await waitFor(() => server.asked.length === 2, { what: "the renewal" });
  gate.resolve();
  await waitFor(() => JSON.stringify(scene.payment.headersFor(REQUEST)) === JSON.stringify(bearer(2)), { what: "the new token" });
  assert.equal(server.asked.length, 2);
});

Deno.test("googlePayment() keeps the old token if a renewal fails, and asks again after half a minute", async () => {
  await using server = new FakeServer();
  const scene = sceneOf(server);
  await payingOf(scene);
  scene.now += 56 * MINUTE;
  server.answer = () => new Response("busy", { status: 503 });
  assert.deepEqual(scene.payment.headersFor(REQUEST), bearer(1));
  await waitFor(() => server.asked.length === 2, { what: "the renewal" });
  const failedAt = scene.now;
  const again = () => {
    scene.now += 5_000;
    assert.deepEqual(scene.payment.headersFor(REQUEST), bearer(1));
    return server.asked.length === 3;
  };
  await waitFor(again, { what: "another renewal" });
  assert.ok(scene.now - failedAt >= 30_000);
  scene.now += 4 * MINUTE;
  assert.match(await troubleOf(scene), /Cannot mint a token of Google: the token server answered 503/);
});

Deno.test("googlePayment() mints a new token once the upstream has refused the old one, and only one for many refusals", async () => {
  await using server = new FakeServer();
  const scene = sceneOf(server);
  await payingOf(scene);
  scene.now += 10 * MINUTE;
  for (let call = 0; call < 5; call++) {
    scene.payment.refused();
    assert.deepEqual(await payingOf(scene), bearer(2));
  }
  scene.now += MINUTE;
  scene.payment.refused();
  assert.deepEqual(await payingOf(scene), bearer(3));
  assert.equal(server.asked.length, 3);
});

Deno.test("googlePayment() does not ask all the time for a token that lives for seconds", async () => {
  await using server = new FakeServer();
  const scene = sceneOf(server, { account: "machine" });
  server.answer = (n) => Response.json({ access_token: `ya29.t${n}`, expires_in: 120 });
  await payingOf(scene);
  scene.now += 59_000;
  assert.deepEqual(scene.payment.headersFor(REQUEST), bearer(1));
  assert.equal(server.asked.length, 1);
  scene.now += 51_000;
  assert.deepEqual(await payingOf(scene), bearer(2));
});

Deno.test("googlePayment() gives up on a server that does not answer in time, and asks it again for the next call", async () => {
  await using server = new FakeServer();
  const gate = Promise.withResolvers<void>();
  const scene = sceneOf(server, { patienceMs: 250 });
  server.answer = async () => {
    await gate.promise;
    return new Response();
  };
  assert.match(await troubleOf(scene), /the token server did not answer within 250 ms/);
  gate.resolve();
  server.answer = (n) => Response.json({ access_token: `ya29.t${n}`, expires_in: 3_600 });
  assert.deepEqual(await payingOf(scene), bearer(2));
});

Deno.test("googlePayment() says what failed without a word of the key, the assertion or an answer", async () => {
  await using server = new FakeServer();
  const secrets = [privateKey.split("\n")[1]!, "eyJ", "sEcReT", "ya29."];
  const saying: readonly (readonly [words: RegExp, scene: Scene, answer?: () => Response])[] = [
    [
      /the token server answered 400 \(invalid_grant\)/,
      sceneOf(server),
      () => Response.json({ error: "invalid_grant", error_description: "sEcReT" }, { status: 400 }),
    ],
    [/the token server answered 401\n/, sceneOf(server), () => Response.json({ error: "sEcReT ya29.x" }, { status: 401 })],
    [
      /the token server answered 302/,
      sceneOf(server),
      () => new Response(null, { status: 302, headers: { location: "/sEcReT" } }),
    ],
    [/something else than a token/, sceneOf(server), () => new Response("<html>sEcReT</html>")],
    [/something else than a token/, sceneOf(server), () => Response.json({ access_token: "ya29.a\r\nb: sEcReT", expires_in: 9 })],
    [/something else than a token/, sceneOf(server), () => Response.json({ access_token: "ya29.x", expires_in: "sEcReT" })],
    [
      /the machine's metadata server answered 404/,
      sceneOf(server, { account: "machine" }),
      () => new Response("", { status: 404 }),
    ],
    [/the key file is not JSON/, sceneOf(server, { keyFile: `sEcReT ${privateKey}` })],
    [
      /the key file has no client_email; expected the JSON key of a service account/,
      sceneOf(server, {
        keyFile: JSON.stringify({ type: "authorized_user", refresh_token: "sEcReT" }),
      }),
    ],
    [
      /the key file's private_key cannot be read/,
      sceneOf(server, { keyFile: keyFileFor(server, { private_key: `sEcReT ${privateKey.slice(9)}` }) }),
    ],
    [/the token server cannot be reached/, sceneOf(server, { keyFile: keyFileFor({ url: "http://127.0.0.1:1" }) })],
  ];
  for (const [words, scene, answer] of saying) {
    if (answer !== undefined) server.answer = answer;
    const trouble = await troubleOf(scene);
    assert.match(trouble, words);
    assert.deepEqual(secrets.filter((secret) => trouble.includes(secret)), [], trouble);
  }
});
