import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { waitFor } from "../../tests/wait.ts";
import type { Actor, AuditStamp } from "../domain/audit.ts";
import { Fault, type FaultCode } from "../domain/fault.ts";
import type { LookupOutcome } from "../domain/observe.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import type { LocalToken, Tokens } from "../domain/tokens.ts";
import { type LocalTokens, localTokens, type LocalTokensOptions } from "./local_tokens.ts";

const NEW_TOKEN = { workspaceId: "ws-1", sandboxId: "sb-1", expiresAt: null };
const BY: Actor = { who: "admin", claimed: null, address: "127.0.0.1" };
const START = 1_800_000_000_000;

/** The table of local tokens in memory, with what a test needs to see and to break. */
class TokenTable implements Tokens {
  readonly rows = new Map<string, LocalToken>();
  finds = 0;
  /** Lookups read the table, then wait for this before they answer. */
  held: Promise<void> = Promise.resolve();
  outage: Error | null = null;

  createToken(token: LocalToken, sha256: string): Promise<void> {
    this.rows.set(sha256, token);
    return Promise.resolve();
  }

  async findToken(sha256: string) {
    this.finds++;
    if (this.outage !== null) throw this.outage;
    const token = this.rows.get(sha256);
    await this.held;
    return token === undefined ? null : { token, sha256 };
  }

  listTokens(workspaceId: string | null) {
    return Promise.resolve([...this.rows.values()].filter((row) => workspaceId === null || row.workspaceId === workspaceId));
  }

  revokeToken(id: string, { at }: Pick<AuditStamp, "at">): Promise<LocalToken | null> {
    for (const [sha256, row] of this.rows) {
      if (row.id !== id) continue;
      const revoked = { ...row, revokedAt: row.revokedAt ?? at };
      this.rows.set(sha256, revoked);
      return Promise.resolve(revoked);
    }
    return Promise.resolve(null);
  }
}

interface Scene {
  readonly table: TokenTable;
  readonly local: LocalTokens;
  readonly outcomes: LookupOutcome[];
  pass(ms: number): void;
}

function scene(change: Partial<LocalTokensOptions> = {}): Scene {
  const table = new TokenTable();
  const outcomes: LookupOutcome[] = [];
  let at = START;
  let ids = 0;
  const local = localTokens({
    tokens: table,
    newId: () => `ID${++ids}`,
    randomBytes: (count) => new Uint8Array(randomBytes(count)),
    now: () => at,
    observe: { lookedUp: (authority, outcome) => void (authority === "local" && outcomes.push(outcome)) },
    timeoutMs: 5_000,
    ...change,
  });
  return { table, local, outcomes, pass: (ms) => void (at += ms) };
}

async function refuses(asked: Promise<Sandbox>, code: FaultCode): Promise<Fault> {
  const fault = await asked.then(() => null, (error: unknown) => error);
  assert.ok(fault instanceof Fault, `expected a Fault, got ${fault}`);
  assert.equal(fault.code, code);
  return fault;
}

Deno.test("create() returns llmp_ and 32 random bytes, and stores only their SHA-256", async () => {
  const { table, local } = scene({ randomBytes: (count) => new Uint8Array(count).fill(255) });
  const { token, record } = await local.create({ ...NEW_TOKEN, expiresAt: START + 1 }, BY);
  assert.equal(token, `llmp_${"_".repeat(42)}8`);
  assert.deepEqual(record, {
    id: "lt-ID1",
    workspaceId: "ws-1",
    sandboxId: "sb-1",
    createdAt: START,
    expiresAt: START + 1,
    revokedAt: null,
  });
  assert.deepEqual([...table.rows], [[createHash("sha256").update(token).digest("hex"), record]]);
  assert.ok(!JSON.stringify([...table.rows]).includes(token));
});

Deno.test("create() never returns a token twice", async () => {
  const { local } = scene();
  const tokens = new Set<string>();
  for (let n = 0; n < 100; n++) tokens.add((await local.create(NEW_TOKEN, BY)).token);
  assert.equal(tokens.size, 100);
  for (const token of tokens) assert.match(token, /^llmp_[A-Za-z0-9_-]{43}$/);
});

Deno.test("list() narrows to a workspace", async () => {
  const { local } = scene();
  await local.create(NEW_TOKEN, BY);
  await local.create({ ...NEW_TOKEN, workspaceId: "ws-2" }, BY);
  assert.deepEqual((await local.list("ws-2")).map((token) => token.workspaceId), ["ws-2"]);
  assert.equal((await local.list(null)).length, 2);
});

Deno.test("sandboxOf() of local tokens returns the sandbox and the token's id", async () => {
  const { local, outcomes } = scene();
  const { token, record } = await local.create(NEW_TOKEN, BY);
  assert.deepEqual(await local.sandboxOf(token), { sandboxId: "sb-1", workspaceId: "ws-1", tokenId: record.id });
  assert.deepEqual(outcomes, ["known"]);
});

Deno.test("sandboxOf() of local tokens refuses a token that differs in its last character, and one that was never made", async () => {
  const { local, outcomes } = scene();
  const { token } = await local.create(NEW_TOKEN, BY);
  await refuses(local.sandboxOf(token.slice(0, -1) + (token.endsWith("A") ? "B" : "A")), "unauthenticated");
  await refuses(local.sandboxOf("llmp_"), "unauthenticated");
  assert.deepEqual(outcomes, ["unknown", "unknown"]);
});

Deno.test("sandboxOf() of local tokens refuses a row that the store returns for another hash", async () => {
  const { table, local } = scene();
  const { token, record } = await local.create(NEW_TOKEN, BY);
  table.findToken = () => Promise.resolve({ token: record, sha256: "00".repeat(32) });
  await refuses(local.sandboxOf(token), "unauthenticated");
});

Deno.test("sandboxOf() of local tokens keeps an answer for 5 s, good or bad", async () => {
  const { table, local, outcomes, pass } = scene();
  const { token } = await local.create(NEW_TOKEN, BY);
  for (const ms of [0, 4_999]) {
    pass(ms);
    await local.sandboxOf(token);
  }
  assert.equal(table.finds, 1);
  pass(1);
  await local.sandboxOf(token);
  assert.equal(table.finds, 2);
  await refuses(local.sandboxOf("llmp_no"), "unauthenticated");
  pass(4_999);
  await refuses(local.sandboxOf("llmp_no"), "unauthenticated");
  assert.equal(table.finds, 3);
  pass(1);
  await refuses(local.sandboxOf("llmp_no"), "unauthenticated");
  assert.equal(table.finds, 4);
  assert.deepEqual(outcomes, ["known", "cached", "known", "unknown", "cached", "unknown"]);
});

Deno.test("sandboxOf() of local tokens checks the expiry on every use, cached or not", async () => {
  const { table, local, pass } = scene();
  const { token } = await local.create({ ...NEW_TOKEN, expiresAt: START + 1_000 }, BY);
  pass(999);
  await local.sandboxOf(token);
  pass(1);
  await refuses(local.sandboxOf(token), "unauthenticated");
  assert.equal(table.finds, 1);
  pass(60_000);
  await refuses(local.sandboxOf(token), "unauthenticated");
});

Deno.test("sandboxOf() of local tokens makes one lookup of 200 concurrent first calls with one token", async () => {
  const { table, local, outcomes } = scene();
  const { token } = await local.create(NEW_TOKEN, BY);
  await Promise.all(Array.from({ length: 200 }, () => local.sandboxOf(token)));
  assert.equal(table.finds, 1);
  assert.equal(outcomes.filter((outcome) => outcome === "cached").length, 199);
});

Deno.test("revoke() acts at once on a cached token and leaves the others", async () => {
  const { table, local, pass } = scene();
  const [one, other] = [await local.create(NEW_TOKEN, BY), await local.create(NEW_TOKEN, BY)];
  await local.sandboxOf(one.token);
  await local.sandboxOf(other.token);
  pass(10);
  assert.equal((await local.revoke(one.record.id, BY))?.revokedAt, START + 10);
  await refuses(local.sandboxOf(one.token), "unauthenticated");
  const { finds } = table;
  await local.sandboxOf(other.token);
  assert.equal(table.finds, finds);
  assert.equal(await local.revoke("lt-unknown", BY), null);
});

Deno.test("revoke() acts at once even on a lookup that had read the token before", async () => {
  const { table, local } = scene();
  const { token, record } = await local.create(NEW_TOKEN, BY);
  const { promise, resolve } = Promise.withResolvers<void>();
  table.held = promise;
  const early = local.sandboxOf(token);
  await waitFor(() => table.finds === 1, { what: "the lookup" });
  await local.revoke(record.id, BY);
  const late = local.sandboxOf(token);
  resolve();
  await refuses(early, "unauthenticated");
  await refuses(late, "unauthenticated");
  await refuses(local.sandboxOf(token), "unauthenticated");
});

Deno.test("sandboxOf() of local tokens hears within 5 s of a revocation on another replica", async () => {
  const { table, local, pass } = scene();
  const { token, record } = await local.create(NEW_TOKEN, BY);
  await local.sandboxOf(token);
  await table.revokeToken(record.id, { at: START });
  pass(4_999);
  await local.sandboxOf(token);
  pass(1);
  await refuses(local.sandboxOf(token), "unauthenticated");
});

Deno.test("sandboxOf() of local tokens counts the 5 s from when it asked, however slow the store was", async () => {
  const { table, local, pass } = scene();
  const { token, record } = await local.create(NEW_TOKEN, BY);
  const { promise, resolve } = Promise.withResolvers<void>();
  table.held = promise;
  const slow = local.sandboxOf(token);
  await waitFor(() => table.finds === 1, { what: "the lookup" });
  await table.revokeToken(record.id, { at: START });
  pass(4_000);
  resolve();
  await slow;
  pass(1_000);
  await refuses(local.sandboxOf(token), "unauthenticated");
});

Deno.test("sandboxOf() of local tokens is authority_unavailable while the store is down, and serves what it asked within 5 s", async () => {
  const { table, local, outcomes, pass } = scene();
  const { token } = await local.create(NEW_TOKEN, BY);
  await local.sandboxOf(token);
  table.outage = new Error("SELECT failed at db.example");
  pass(4_999);
  await local.sandboxOf(token);
  pass(1);
  const fault = await refuses(local.sandboxOf(token), "authority_unavailable");
  assert.equal(fault.cause, table.outage);
  assert.ok(!fault.message.includes("SELECT"));
  table.outage = null;
  await local.sandboxOf(token);
  assert.deepEqual(outcomes, ["known", "cached", "unavailable", "known"]);
});

Deno.test("sandboxOf() of local tokens gives up on a store that never answers", async () => {
  const { table, local } = scene({ timeoutMs: 20 });
  const { token } = await local.create(NEW_TOKEN, BY);
  table.held = new Promise(() => {});
  const fault = await refuses(local.sandboxOf(token), "authority_unavailable");
  assert.match(String(fault.cause), /TooSlow/);
});

Deno.test("sandboxOf() of local tokens names the sandbox of a token that is revoked, expired or cannot be checked", async () => {
  const { table, local, pass } = scene();
  const { token, record } = await local.create({ ...NEW_TOKEN, expiresAt: START + 20_000 }, BY);
  const owner = { sandboxId: "sb-1", workspaceId: "ws-1", tokenId: record.id };
  await local.sandboxOf(token);
  pass(5_000);
  table.outage = new Error("away");
  assert.deepEqual((await refuses(local.sandboxOf(token), "authority_unavailable")).sandbox, owner);
  assert.equal((await refuses(local.sandboxOf("llmp_made-up"), "authority_unavailable")).sandbox, null);
  table.outage = null;
  pass(15_000);
  assert.deepEqual((await refuses(local.sandboxOf(token), "unauthenticated")).sandbox, owner);
  await local.revoke(record.id, BY);
  const { finds } = table;
  for (const _ of ["asked", "cached"]) {
    assert.deepEqual((await refuses(local.sandboxOf(token), "unauthenticated")).sandbox, owner);
  }
  assert.equal(table.finds, finds + 1);
  assert.equal((await refuses(local.sandboxOf("llmp_made-up"), "unauthenticated")).sandbox, null);
});

Deno.test("sandboxOf() of local tokens keeps known tokens through 12,000 made-up ones", async () => {
  const { table, local } = scene();
  const { token } = await local.create(NEW_TOKEN, BY);
  await local.sandboxOf(token);
  for (let n = 0; n < 12_000; n++) await local.sandboxOf(`llmp_${n}`).catch(() => {});
  const { finds } = table;
  await local.sandboxOf(token);
  assert.equal(table.finds, finds);
});
