import assert from "node:assert/strict";
import { stampAt } from "../../../tests/conformance/samples.ts";
import type { LocalToken, TokenCopies, TokenCopy, Tokens } from "../../domain/tokens.ts";
import { cachedTokens } from "./cached_tokens.ts";

const TOKEN: LocalToken = {
  id: "lt-1",
  workspaceId: "w-1",
  sandboxId: "sb-1",
  createdAt: 0,
  expiresAt: null,
  revokedAt: null,
};
const GRACE_MS = 600_000;

Deno.test("findToken() asks the shared database while it answers", async () => {
  const { tokens, shared } = stand();
  assert.equal((await tokens.findToken("a"))?.token.id, "lt-1");
  await tokens.findToken("a");
  assert.equal(shared.asked, 2);
  assert.equal(await tokens.findToken("unknown"), null);
});

Deno.test("findToken() uses the copy while the shared database fails, and rejects without a copy", async () => {
  const { tokens, shared } = stand();
  await tokens.findToken("a");
  shared.state = "away";
  assert.equal((await tokens.findToken("a"))?.token.id, "lt-1");
  await assert.rejects(tokens.findToken("b"), /away/);
});

Deno.test("findToken() waits only a moment for a shared database that does not answer, and then does not ask it for a while", async () => {
  const { tokens, shared, clock } = stand();
  await tokens.findToken("a");
  shared.state = "silent";
  const started = performance.now();
  assert.equal((await tokens.findToken("a"))?.token.id, "lt-1");
  assert.ok(performance.now() - started < 5_000);
  shared.state = "away";
  clock.now += 2_000;
  await tokens.findToken("a");
  const asked = shared.asked;
  for (let n = 0; n < 5; n++) await tokens.findToken("a");
  assert.equal(shared.asked, asked);
  clock.now += 1_000;
  await tokens.findToken("a");
  assert.equal(shared.asked, asked + 1);
});

Deno.test("findToken() does not wait for a shared database that was silent before, and asks it again when it is back", async () => {
  const { tokens, shared, clock } = stand();
  await tokens.findToken("a");
  shared.state = "silent";
  await tokens.findToken("a");
  const started = performance.now();
  for (let n = 0; n < 20; n++) {
    clock.now += 2_000;
    await tokens.findToken("a");
  }
  assert.ok(performance.now() - started < 20 * 300, "each look took the patience");
  // The one look that is still under way.
  assert.equal(shared.asked, 3);
});

Deno.test("findToken() uses the shared database again after one probe that found it back", async () => {
  const { tokens, shared, clock } = stand();
  await tokens.findToken("a");
  shared.state = "away";
  await tokens.findToken("a");
  shared.state = "there";
  shared.kept = { ...TOKEN, revokedAt: 9 };
  clock.now += 2_000;
  assert.equal((await tokens.findToken("a"))?.token.revokedAt, null);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal((await tokens.findToken("a"))?.token.revokedAt, 9);
});

Deno.test("findToken() uses no copy that was confirmed longer ago than the grace period", async () => {
  const { tokens, shared, clock } = stand();
  await tokens.findToken("a");
  shared.state = "away";
  clock.now += GRACE_MS - 1;
  assert.equal((await tokens.findToken("a"))?.token.id, "lt-1");
  clock.now += 1_001;
  await assert.rejects(tokens.findToken("a"), /away/);
});

Deno.test("revokeToken() acts here even if the shared database is down, and still holds when it is back", async () => {
  const { tokens, shared, clock } = stand();
  await tokens.findToken("a");
  shared.state = "away";
  await assert.rejects(tokens.revokeToken("lt-1", stampAt(77)), /away/);
  assert.equal((await tokens.findToken("a"))?.token.revokedAt, 77);
  shared.state = "there";
  clock.now += 2_000;
  assert.equal((await tokens.findToken("a"))?.token.revokedAt, 77);
});

Deno.test("findToken() learns of a revocation made elsewhere, and keeps to it in the next outage", async () => {
  const { tokens, shared, clock } = stand();
  await tokens.findToken("a");
  shared.kept = { ...TOKEN, revokedAt: 5 };
  assert.equal((await tokens.findToken("a"))?.token.revokedAt, 5);
  shared.state = "away";
  clock.now += 2_000;
  assert.equal((await tokens.findToken("a"))?.token.revokedAt, 5);
});

function stand() {
  const clock = { now: 1_000_000 };
  const shared = {
    state: "there" as "there" | "away" | "silent",
    asked: 0,
    kept: TOKEN,
  };
  const answer = <T>(value: T): Promise<T> => {
    shared.asked++;
    if (shared.state === "away") return Promise.reject(new Error("away"));
    return shared.state === "silent" ? new Promise(() => {}) : Promise.resolve(value);
  };
  const database: Tokens = {
    createToken: () => answer(undefined),
    findToken: (sha256) => answer(sha256 === "a" ? { token: shared.kept, sha256 } : null),
    listTokens: () => answer([]),
    revokeToken: () => answer(null),
  };
  const tokens = cachedTokens({ shared: database, copies: copiesInMemory(), graceMs: GRACE_MS, now: () => clock.now });
  return { tokens, shared, clock };
}

function copiesInMemory(): TokenCopies {
  const kept = new Map<string, TokenCopy>();
  return {
    keepTokenCopy(token, sha256, { seenAt }) {
      const revokedAt = kept.get(sha256)?.token.revokedAt ?? token.revokedAt;
      kept.set(sha256, { token: { ...token, revokedAt }, sha256, seenAt });
      return Promise.resolve();
    },
    findTokenCopy: (sha256) => Promise.resolve(kept.get(sha256) ?? null),
    revokeTokenCopy(id, at) {
      for (const [sha256, copy] of kept) {
        if (copy.token.id === id) kept.set(sha256, { ...copy, token: { ...copy.token, revokedAt: copy.token.revokedAt ?? at } });
      }
      return Promise.resolve();
    },
  };
}
