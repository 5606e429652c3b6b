import assert from "node:assert/strict";
import { Validator } from "@seriousme/openapi-schema-validator";
import { ApiDocument, type Document, type Operation, type Seen } from "../api_document.ts";
import { type Input, Inputs } from "../api_inputs.ts";
import { seededRandom } from "../conformance/samples.ts";
import { callAndRead } from "../metered_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { waitFor } from "../wait.ts";
import { OPERATOR_KEY, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";

const REQUESTS = 2_000;
const SEED = 20_261_129;
/** They start a Worker or copy a database, so they are asked an eighth as often as the others. */
const SLOW = ["postInternalReprice", "postInternalBackup", "getInternalExport", "getInternalOpenapiJson"];
/** For an operation that has not succeeded by then. */
const MOST_TRIES = 200;
/** Few pairs of ids are suspended. */
const RARE = "deleteInternalSuspensionsWorkspaceSandboxesSandbox";
/** What every path answers to a method that the document does not have. */
const UNDOCUMENTED_METHODS = ["PUT", "PATCH", "DELETE", "POST", "OPTIONS"];

Deno.test("the OpenAPI document of the running program is valid, and needs the admin token", async () => {
  await using proxy = await startProxy();
  const bare = await fetch(`${proxy.adminUrl}/internal/openapi.json`);
  assert.deepEqual([bare.status, JSON.parse(await bare.text()).error.type], [401, "authentication_error"]);
  const document = await documentOf(proxy);
  const result = await new Validator().validate(structuredClone(document) as unknown as Record<string, unknown>);
  assert.deepEqual(result, { valid: true });
  const ids = operationsOf(document).map(({ operation }) => operation.operationId);
  assert.equal(new Set(ids).size, ids.length);
  for (const { path, method, operation } of operationsOf(document)) {
    const answer = await fetch(proxy.adminUrl + path, { method: method.toUpperCase() });
    await answer.body?.cancel();
    assert.equal(answer.status, operation.security === undefined ? 401 : 200, path);
  }
});

Deno.test(`the admin API over SQLite answers ${REQUESTS} valid and invalid requests as its document says`, async () => {
  await using proxy = await startProxy();
  await fuzz(proxy, ["postInternalReship"]);
});

Deno.test(`the admin API over PostgreSQL answers ${REQUESTS} valid and invalid requests as its document says`, async () => {
  await using server = await startPostgres();
  await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: server.url } });
  await fuzz(proxy, []);
});

Deno.test("ApiDocument.problemOf() knows an answer that the document lacks", async () => {
  await using proxy = await startProxy();
  const api = new ApiDocument(await documentOf(proxy));
  const operation = api.document.paths["/internal/tokens"]!.get!;
  const json = "application/json";
  const token = { id: "lt-1", workspaceId: "w", sandboxId: "s", createdAt: "2026-01-01T00:00:00.000Z" };
  const cases: readonly (readonly [status: number, contentType: string | null, value: unknown, problem: RegExp | null])[] = [
    [200, json, { tokens: [] }, null],
    [200, json, { tokens: [token] }, null],
    [200, json, { tokens: [{ ...token, expiresAt: 5 }] }, /expiresAt must be string/],
    [200, json, { tokens: [{ ...token, createdAt: "2026-01-01" }] }, /createdAt must match/],
    [200, json, { tokens: [{ ...token, secret: "x" }] }, /must NOT have additional properties/],
    [200, json, {}, /must have required property/],
    [200, "text/plain", "", /content type text\/plain/],
    [200, null, "", /content type null/],
    [418, json, {}, /status 418/],
    [400, json, { error: { type: "none", message: "" } }, /type must be equal to one of/],
  ];
  for (const [status, contentType, value, problem] of cases) {
    const found = api.problemOf(operation, { status, contentType, text: JSON.stringify(value) });
    if (problem === null) assert.equal(found, null);
    else assert.match(found!, problem);
  }
});

/** `refused`: operations that never succeed in this mode. */
async function fuzz(proxy: ProxyUnderTest, refused: readonly string[]): Promise<void> {
  const random = seededRandom(SEED);
  const { known, ...made } = await filled(proxy);
  const api = new ApiDocument(await documentOf(proxy));
  const inputs = new Inputs({ random, api, known });
  const operations = operationsOf(api.document);
  const often = operations.flatMap((one) => Array<typeof one>(SLOW.includes(one.operation.operationId) ? 1 : 8).fill(one));
  const succeeded = new Set<string>();
  const revoked = new Set<string>();

  async function ask({ path, method, operation }: Asked, number: number): Promise<void> {
    const hasToken = random() < 0.97;
    const authorization = `Bearer ${hasToken ? proxy.adminToken : "wrong"}`;
    const input = inputs.of(path, method, { operation, authorization });
    if (random() < 0.02) return await assertUnknown(proxy, { input, api, path, random });
    const isHead = method === "get" && random() < 0.05;
    const seen = await send(proxy, isHead ? { ...input, method: "HEAD" } : input);
    const told = `request ${number} of seed ${SEED}: ${JSON.stringify(input).slice(0, 1_500)}`;
    assert.equal(api.problemOf(operation, seen, isHead), null, told);
    assert.ok(seen.status < 500, `${told}: ${seen.text}`);
    if (operation.security === undefined && !hasToken) assert.equal(seen.status, 401, told);
    else if (input.isWrong !== null) assert.ok(seen.status >= 400, `${input.isWrong}: ${told}: ${seen.status}`);
    if (seen.status < 300) succeeded.add(operation.operationId);
    if (seen.status === 201) {
      const { id, token } = JSON.parse(seen.text);
      made.ids.push(id);
      made.secrets.push(token);
    }
    if (operation.operationId === "deleteInternalTokensId" && seen.status === 200) revoked.add(JSON.parse(seen.text).id);
  }

  for (let n = 0; n < REQUESTS; n++) await ask(often[Math.floor(random() * often.length)]!, n);
  for (const asked of operations) {
    const { operationId } = asked.operation;
    for (
      let n = 0;
      n < MOST_TRIES && operationId !== RARE && !succeeded.has(operationId) && !refused.includes(operationId);
      n++
    ) await ask(asked, n);
  }
  const ids = operations.map(({ operation }) => operation.operationId);
  assert.deepEqual(ids.filter((id) => id !== RARE && !succeeded.has(id)), refused, "operations that never succeeded");
  await assertAudited(proxy, { ...made, revoked });
}

/** Each token has its entries, one for each change, and no entry holds a secret. */
async function assertAudited(
  proxy: ProxyUnderTest,
  { ids, revoked, secrets }: {
    readonly ids: readonly string[];
    readonly revoked: Set<string>;
    readonly secrets: readonly string[];
  },
): Promise<void> {
  const targets = async (action: string) => {
    const { audit } = await proxy.ask(`/internal/audit?limit=1000&action=${action}`) as { audit: { target: string }[] };
    return audit.map(({ target }) => target).sort();
  };
  assert.ok(ids.length > 20 && revoked.size > 0);
  assert.deepEqual(await targets("token.create"), ids.toSorted());
  assert.deepEqual(await targets("token.revoke"), [...revoked].sort());
  const text = await proxy.text("/internal/audit?limit=1000");
  for (const secret of [...secrets, proxy.adminToken, OPERATOR_KEY]) assert.ok(!text.includes(secret));
}

/** A path or a method that the document does not have. */
async function assertUnknown(
  proxy: ProxyUnderTest,
  { input, api, path, random }: {
    readonly input: Input;
    readonly api: ApiDocument;
    readonly path: string;
    readonly random: () => number;
  },
): Promise<void> {
  const headers = { authorization: `Bearer ${proxy.adminToken}` };
  const methods = UNDOCUMENTED_METHODS.filter((method) => !(method.toLowerCase() in api.document.paths[path]!));
  const method = methods[Math.floor(random() * methods.length)]!;
  const wrongMethod = await send(proxy, { ...input, method, headers, body: null });
  assert.equal(wrongMethod.status, 405, `${method} ${input.target}`);
  const wrongPath = await send(proxy, { ...input, method, headers, body: null, target: `/internal/none${input.target}` });
  assert.equal(wrongPath.status, 404, input.target);
  for (const seen of [wrongMethod, wrongPath]) {
    assert.ok(api.takes({ $ref: "#/components/schemas/Refusal" }, JSON.parse(seen.text)), seen.text);
  }
}

async function send(proxy: ProxyUnderTest, { method, target, headers, body }: Input): Promise<Seen> {
  const answer = await fetch(proxy.adminUrl + target, { method, headers, body });
  return { status: answer.status, contentType: answer.headers.get("content-type"), text: await answer.text() };
}

/** Makes calls, a refusal and a revocation, so that every list has an entry. */
async function filled(proxy: ProxyUnderTest) {
  const tokens = [await proxy.token("w1", "s1"), await proxy.token("w2", "s2"), await proxy.token("w1", "s3")];
  for (const [n, token] of tokens.entries()) {
    await callAndRead(proxy.url, { token, text: "x".repeat(n + 1), traceId: `at-${n}`, stream: n % 2 === 0 });
  }
  await callAndRead(proxy.url, { token: tokens[1]!, text: "again", traceId: "at-0" });
  await callAndRead(proxy.url, { token: "llmp_unknown", text: "refused" });
  const cut = await proxy.token("w9", "s9");
  const { tokens: listed } = await proxy.ask("/internal/tokens") as { tokens: { id: string; workspaceId: string }[] };
  const ids = listed.map(({ id }) => id);
  // It stays in flight until it is cut by its id: nothing else of it is known.
  proxy.upstream.answer("stall");
  void callAndRead(proxy.url, { token: cut, text: "cut me" });
  const running = await waitFor(async () => {
    const { requests } = await proxy.ask("/internal/requests") as { requests: { id: string }[] };
    return requests[0]?.id ?? null;
  }, { what: "the call to be in flight" });
  const others = listed.filter(({ workspaceId }) => workspaceId !== "w9").map(({ id }) => id);
  return { known: [running, ...others, "at-0", "at-1", "at-2", "w1", "w2", "s1"], secrets: [...tokens, cut], ids };
}

async function documentOf(proxy: ProxyUnderTest): Promise<Document> {
  return await proxy.ask("/internal/openapi.json") as unknown as Document;
}

interface Asked {
  readonly path: string;
  readonly method: string;
  readonly operation: Operation;
}

function operationsOf({ paths }: Document): readonly Asked[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation }))
  );
}
