import assert from "node:assert/strict";
import { anthropic } from "../../tests/anthropic.ts";
import { credentialOf } from "../../tests/fake_credentials.ts";
import { Fault } from "../domain/fault.ts";
import type { UpstreamAsked, UpstreamConfig } from "../domain/upstream.ts";
import { UpstreamTable } from "./upstream_table.ts";

const second = { ...anthropic, name: "second" };

function configOf(name: string, over: Partial<UpstreamConfig> = {}): UpstreamConfig {
  return {
    ...{ name, dialect: "anthropic", seller: "anthropic", baseUrl: "https://upstream.test" },
    credentials: [credentialOf(`${name}-key`)],
    ...{ place: { project: null, locations: [] }, models: ["*"], workspaces: null, readOnMs: 0, isStrict: false },
    ...over,
  };
}

function tableOf(configs: readonly UpstreamConfig[]) {
  const scene = { configs, statuses: new Map<string, number>() };
  const table = new UpstreamTable({
    ...{ idleMs: 1, drainAfterLeftMs: 1, userAgent: "test", patienceMs: 0 },
    dialects: { anthropic, second },
    now: () => 0,
    elapsed: () => 0,
    observe: { note: () => {} },
    fetch: () => assert.fail("A header pays"),
    fetchDirect: () => assert.fail("A header pays"),
    all: () => scene.configs,
    check: (upstream, { id }) => Promise.resolve(scene.statuses.get(`${upstream.name} ${id}`) ?? 200),
  });
  return { table, scene };
}

const asked: UpstreamAsked = { workspaceId: "w-1", model: "m-1", heldBy: null };

Deno.test("UpstreamTable chooses the first upstream of the dialect that offers the model to the workspace", () => {
  const { table } = tableOf([
    configOf("narrow", { models: ["n-*"] }),
    configOf("theirs", { workspaces: ["w-2"] }),
    configOf("other", { dialect: "second" }),
    configOf("wide"),
  ]);
  const chosen = (over: Partial<UpstreamAsked>) => table.forCall(anthropic, { ...asked, ...over }).name;
  assert.deepEqual([chosen({}), chosen({ model: "n-1" }), chosen({ workspaceId: "w-2" })], ["wide", "narrow", "theirs"]);
  assert.deepEqual([chosen({ model: null }), chosen({ model: "" })], ["narrow", "wide"]);
  assert.equal(table.forCall(second, asked).name, "other");
  assert.deepEqual(table.dialects(), [anthropic, second]);
});

Deno.test("UpstreamTable refuses a model that no upstream of the dialect offers, and names no upstream", () => {
  const { table } = tableOf([configOf("hidden-1", { models: ["a-*"] }), configOf("hidden-2", { dialect: "second" })]);
  for (const model of ["m-1", "A-1", ""]) {
    const refused = (error: unknown) =>
      error instanceof Fault && error.code === "model_not_allowed" && !error.message.includes("hidden");
    assert.throws(() => table.forCall(anthropic, { ...asked, model }), refused, model);
  }
});

Deno.test("UpstreamTable takes a call about what a credential holds to that credential's upstream", () => {
  const { table } = tableOf([configOf("one"), configOf("two", { models: ["m-2"] })]);
  assert.equal(table.forCall(anthropic, { ...asked, model: "m-2", heldBy: "two-key" }).name, "two");
  assert.equal(table.forCall(anthropic, { ...asked, heldBy: "two-key" }).name, "one");
  assert.equal(table.forCall(anthropic, { ...asked, heldBy: "gone-key" }).name, "one");
});

Deno.test("UpstreamTable finds the upstream of a call by its credential, then by its name, then by its seller", () => {
  const { table, scene } = tableOf([configOf("one"), configOf("two"), configOf("three", { seller: "aws.bedrock" })]);
  const found = (upstream: string | null, provider: string, credentialId: string | null) =>
    table.ofCall({ upstream, provider, credentialId }).name;
  assert.deepEqual([found("renamed", "anthropic", "two-key"), found("one", "anthropic", "two-key")], ["two", "two"]);
  assert.deepEqual([found("two", "anthropic", "gone"), found("two", "anthropic", null)], ["two", "two"]);
  assert.deepEqual([found("gone", "aws.bedrock", null), found("gone", "gone", null)], ["three", "one"]);
  // The key's name is another account's now.
  assert.equal(found("two", "anthropic", "three-key"), "two");
  scene.configs = [configOf("one"), configOf("renamed", { credentials: [credentialOf("two-key")] })];
  assert.equal(found("two", "anthropic", "two-key"), "renamed");
});

Deno.test("UpstreamTable gives calls that wait no credential of another dialect whose upstream took the name", () => {
  const { table, scene } = tableOf([configOf("one")]);
  const { credentials } = table.forCall(anthropic, asked);
  scene.configs = [configOf("one", { dialect: "second", credentials: [credentialOf("other-key")] })];
  assert.equal(table.forCall(second, asked).credentials.holding(null).id, "other-key");
  assert.equal(credentials.holding(null).id, "one-key");
});

Deno.test("UpstreamTable takes other settings at a reload, and keeps what it knows of credentials that stay", async () => {
  const { table, scene } = tableOf([configOf("one", { credentials: [credentialOf("a"), credentialOf("b")] })]);
  const before = table.forCall(anthropic, asked);
  scene.statuses.set("one a", 401);
  await before.credentials.refused(before.credentials.holding("a"));
  assert.deepEqual([...table.state.isOut], [["a", true], ["b", false]]);
  assert.equal(table.readiness().status, "degraded");
  const { credentials } = scene.configs[0]!;
  scene.configs = [configOf("one", { credentials, models: ["m-1"] }), configOf("two")];
  const after = table.forCall(anthropic, asked);
  assert.notEqual(after, before);
  assert.deepEqual([...table.state.isOut], [["a", true], ["b", false], ["two-key", false]]);
  assert.equal(table.forCall(anthropic, { ...asked, model: "m-2" }).name, "two");
  scene.configs = [configOf("two")];
  assert.deepEqual([...table.state.isOut], [["two-key", false]]);
  assert.equal(after.credentials.holding("a").id, "a");
});

Deno.test("UpstreamTable.readiness() counts the credentials of all upstreams if some are out, and names none", async () => {
  const two = [credentialOf("b"), credentialOf("c")];
  const { table, scene } = tableOf([configOf("one"), configOf("two", { credentials: two })]);
  assert.deepEqual(table.readiness(), { status: "ok", reason: null });
  const pool = table.forCall(anthropic, { ...asked, heldBy: "b" }).credentials;
  scene.statuses.set("two b", 401).set("two c", 401);
  await pool.refused(pool.holding("b"));
  assert.deepEqual(table.readiness(), { status: "degraded", reason: "1 of 3 upstream credentials are out of use" });
  await pool.refused(pool.holding("c"));
  assert.deepEqual(table.readiness(), { status: "degraded", reason: "2 of 3 upstream credentials are out of use" });
});

Deno.test("UpstreamTable keeps a payment as long as its credential, so that what it minted is used again", () => {
  const { table, scene } = tableOf([configOf("one")]);
  const upstream = table.forCall(anthropic, asked);
  const [credential] = scene.configs[0]!.credentials;
  assert.equal(upstream.paymentOf(credential!), upstream.paymentOf(credential!));
  assert.deepEqual(upstream.paymentOf(credential!).headersFor({ method: "GET", url: "", headers: [], body: null }), [
    ["x-api-key", credential!.secret],
  ]);
});
