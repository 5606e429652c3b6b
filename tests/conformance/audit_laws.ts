import assert from "node:assert/strict";
import type { AuditEntry, AuditQuery, AuditRecords } from "../../src/domain/audit.ts";
import type { LimitRecords } from "../../src/domain/limits.ts";
import type { Store } from "../../src/domain/store.ts";
import { type LocalToken, tokenJson, type Tokens } from "../../src/domain/tokens.ts";
import { seededRandom, stampAt, T0 } from "./samples.ts";

type AuditedStore = Store & Tokens & LimitRecords & AuditRecords;

interface AuditedUnderTest {
  readonly store: AuditedStore;
  /** Runs a statement on the database itself. Rejects with the database's error. */
  readonly run: (sql: string) => Promise<unknown>;
  readonly dispose: () => Promise<void>;
}

/** Registers the laws of the audit, as tests. */
export function auditLaws(name: string, make: () => Promise<AuditedUnderTest>): void {
  for (const [law, holds] of Object.entries(LAWS)) {
    Deno.test(`${name}: ${law}`, async () => {
      const { dispose, ...stand } = await make();
      try {
        await holds(stand);
      } finally {
        await dispose();
      }
    });
  }
}

const TOKEN: LocalToken = {
  id: "lt-1",
  workspaceId: "w-1",
  sandboxId: "sb-1",
  createdAt: T0,
  expiresAt: T0 + 60_000,
  revokedAt: null,
};
const REVOKED = { ...TOKEN, revokedAt: T0 + 5 };
const SHA256 = "c0ffee".repeat(8);

const LAWS: Readonly<Record<string, (stand: Omit<AuditedUnderTest, "dispose">) => Promise<void>>> = {
  "createToken() and revokeToken() each add one entry, with what was there before and after": async ({ store }) => {
    await store.createToken(TOKEN, SHA256, stampAt(T0));
    await store.revokeToken(TOKEN.id, stampAt(T0 + 5));
    const about = { target: TOKEN.id, workspaceId: TOKEN.workspaceId };
    const expected: readonly AuditEntry[] = [
      { ...stampAt(T0 + 5), ...about, action: "token.revoke", before: tokenJson(TOKEN), after: tokenJson(REVOKED) },
      { ...stampAt(T0), ...about, action: "token.create", before: null, after: tokenJson(TOKEN) },
    ];
    assert.deepEqual(await entriesOf(store), expected);
    assert.ok(!JSON.stringify(await entriesOf(store)).includes(SHA256));
  },

  "a change that changes nothing adds no entry": async ({ store }) => {
    await store.createToken(TOKEN, SHA256, stampAt(T0));
    await store.revokeToken(TOKEN.id, stampAt(T0 + 5));
    assert.deepEqual(await store.revokeToken(TOKEN.id, stampAt(T0 + 6)), REVOKED);
    assert.equal(await store.revokeToken("lt-unknown", stampAt(T0 + 7)), null);
    await assert.rejects(store.createToken({ ...TOKEN, sandboxId: "other" }, "another hash", stampAt(T0 + 8)));
    assert.deepEqual((await entriesOf(store)).map(({ at }) => at - T0), [5, 0]);
  },

  "a change whose entry cannot be added is not made": async ({ store }) => {
    await store.createToken(TOKEN, SHA256, stampAt(T0));
    await assert.rejects(store.createToken({ ...TOKEN, id: "lt-2" }, "another hash", stampAt(T0)));
    await assert.rejects(store.revokeToken(TOKEN.id, stampAt(T0)));
    assert.deepEqual(await store.listTokens(null), [TOKEN]);
    assert.equal((await entriesOf(store)).length, 1);
  },

  "setLimits() adds one entry with all limits of the place, and none if they stay as they are": async ({ store }) => {
    const place = { scope: "workspace", workspaceId: "w-1", id: "" } as const;
    const changes = [{ kind: "rpd", max: 10 }, { kind: "cost_per_day", max: 5_000_000_000 }] as const;
    await store.setLimits(place, changes, stampAt(T0));
    await store.setLimits(place, changes, stampAt(T0 + 1));
    await store.setLimits(place, [{ kind: "rpd", max: null }], stampAt(T0 + 2));
    await store.setLimits({ scope: "default", workspaceId: "", id: "" }, [{ kind: "concurrent", max: 3 }], stampAt(T0 + 3));
    await store.setLimits({ ...place, scope: "trace", id: "at-1" }, [{ kind: "rpd", max: 0 }], stampAt(T0 + 4));
    await store.setLimits(place, [{ kind: "cost_per_day", max: null }], stampAt(T0 + 5));
    const shown = (await entriesOf(store)).map(({ at, action, target, workspaceId, before, after }) => {
      return [at - T0, action, target, workspaceId, before, after];
    });
    const both = { rpd: 10, cost_per_day: "5.000000000" };
    const cost = { cost_per_day: "5.000000000" };
    assert.deepEqual(shown, [
      [5, "limit.clear", "workspace w-1", "w-1", cost, null],
      [4, "limit.set", "trace at-1", "w-1", null, { rpd: 0 }],
      [3, "limit.set", "default", null, null, { concurrent: 3 }],
      [2, "limit.set", "workspace w-1", "w-1", both, cost],
      [0, "limit.set", "workspace w-1", "w-1", null, both],
    ]);
    await assert.rejects(store.setLimits(place, changes, stampAt(T0)));
    assert.deepEqual((await store.listLimits()).map(({ scope }) => scope).sort(), ["default", "trace"]);
  },

  "of ten revocations of one token at once, one adds an entry": async ({ store }) => {
    await store.createToken(TOKEN, SHA256, stampAt(T0));
    await Promise.all(Array.from({ length: 10 }, (_, n) => store.revokeToken(TOKEN.id, stampAt(T0 + 1 + n))));
    const [entry, ...others] = (await entriesOf(store)).filter(({ action }) => action === "token.revoke");
    assert.deepEqual(others, []);
    assert.equal((await store.listTokens(null))[0]?.revokedAt, entry?.at);
  },

  "appendAudit() keeps an entry as it is": async ({ store }) => {
    const text = "x \u0000 é ' \" \\ \n 漢";
    const some = { ...entryAt(T0 + 1), before: { text, list: [1, null, { a: true }] }, after: {} };
    const least = { ...entryAt(T0), claimed: null, address: null, workspaceId: null };
    for (const entry of [least, some]) await store.appendAudit(entry);
    assert.deepEqual(await entriesOf(store), [some, least]);
    await assert.rejects(store.appendAudit(some));
  },

  "listAudit() returns the newest first, narrowed, and pages through all of them once": async ({ store }) => {
    const random = seededRandom(20_260_111);
    const all = Array.from({ length: 40 }, (_, n): AuditEntry => ({
      ...entryAt(T0 + Math.floor(random() * 20)),
      id: `au-${String(n).padStart(3, "0")}`,
      action: random() < 0.5 ? "prices.read" : "token.create",
      workspaceId: [null, "w-1", "w-2"][Math.floor(random() * 3)]!,
    }));
    for (const entry of all) await store.appendAudit(entry);
    all.sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1));
    const filters: readonly Partial<AuditQuery>[] = [
      {},
      { workspaceId: "w-1" },
      { workspaceId: "w-9" },
      { action: "prices.read" },
      { since: T0 + 5, until: T0 + 12 },
      { since: T0 + 5, until: T0 + 12, action: "token.create", workspaceId: "w-2" },
    ];
    for (const filter of filters) {
      const { workspaceId = null, action = null, since = null, until = null } = filter;
      const kept = all.filter((entry) =>
        (workspaceId === null || entry.workspaceId === workspaceId) && (action === null || entry.action === action) &&
        (since === null || entry.at >= since) && (until === null || entry.at < until)
      );
      for (const limit of [1, 7, 40, 1_000]) assert.deepEqual(await pagesOf(store, { ...filter, limit }), kept);
    }
  },

  "an entry is never changed or deleted, not even by retention": async ({ store, run }) => {
    await store.createToken(TOKEN, SHA256, stampAt(T0));
    while (await store.dropMonths(Date.UTC(2040, 0))) continue;
    for (const sql of ["UPDATE audit SET who = 'signal'", "DELETE FROM audit"]) {
      await assert.rejects(run(sql), /audit rows are only added/);
    }
    assert.deepEqual((await entriesOf(store)).map(({ id }) => id), [stampAt(T0).id]);
  },
};

function entryAt(at: number): AuditEntry {
  return {
    ...stampAt(at),
    action: "prices.read",
    target: "prices",
    workspaceId: "w-1",
    before: null,
    after: { priceVersion: "2026-11-28" },
  };
}

const EVERYTHING: AuditQuery = { workspaceId: null, action: null, since: null, until: null, limit: 100, after: null };

async function entriesOf(store: AuditedStore): Promise<readonly AuditEntry[]> {
  return (await store.listAudit(EVERYTHING)).entries;
}

async function pagesOf(store: AuditedStore, asked: Partial<AuditQuery>): Promise<readonly AuditEntry[]> {
  const found: AuditEntry[] = [];
  let after: AuditQuery["after"] = null;
  do {
    const { entries, next } = await store.listAudit({ ...EVERYTHING, ...asked, after });
    found.push(...entries);
    after = next;
  } while (after !== null);
  return found;
}
