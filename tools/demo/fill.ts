import { createHash } from "node:crypto";
import type { Actor, AuditStamp } from "../../src/domain/audit.ts";
import { REVISION } from "../../src/domain/usage.ts";
import type { StoreVerbs } from "../../src/stores/verbs.ts";
import { tokenIdOf } from "./calls.ts";
import { diceOf } from "./dice.ts";
import type { Month } from "./month.ts";

/** Rows in one transaction. */
const AT_ONCE = 400;
const DAY_MS = 86_400_000;
const NANO_PER_DOLLAR = 1_000_000_000;
const WORKSPACE = { scope: "workspace", id: "" } as const;
const MARIA: Actor = { who: "admin", claimed: "maria", address: "10.0.4.17" };
const DEPLOY: Actor = { who: "admin", claimed: "deploy", address: "10.0.4.2" };

type Stamp = (by: Actor, at: number) => AuditStamp;

/** Writes the month as shipping and administration would have, by the store's own verbs. */
export async function fill(store: StoreVerbs, month: Month): Promise<void> {
  const dice = diceOf(month.start);
  const stamp: Stamp = (by, at) => ({ ...by, id: `au-${dice.ulid(at)}`, at: Math.min(at, month.now) });
  await makeTokens(store, month, stamp);
  for (let at = 0; at < month.traces.length; at += AT_ONCE) await store.recordTraces(month.traces.slice(at, at + AT_ONCE));
  for (let at = 0; at < month.calls.length; at += AT_ONCE) {
    await store.recordUsage(month.calls.slice(at, at + AT_ONCE).map((call) => ({ ...call, revision: REVISION.closed })));
  }
  await store.recordRefusals(summed(month.refusals));
  await store.recordOwned(month.batches);
  for (const { id } of month.batches) await store.settleBatch(id, "counted");
  await administer(store, month, stamp);
}

/** The tokens themselves are thrown away: only their hashes are stored. */
async function makeTokens(store: StoreVerbs, { fleet, start }: Month, stamp: Stamp): Promise<void> {
  for (const [n, { workspaceId, sandboxId }] of fleet.entries()) {
    const createdAt = start + n * 1_000;
    const token = { id: tokenIdOf({ sandboxId }), workspaceId, sandboxId, createdAt, expiresAt: null, revokedAt: null };
    const sha256 = createHash("sha256").update(crypto.getRandomValues(new Uint8Array(32))).digest("hex");
    await store.createToken(token, sha256, stamp(DEPLOY, createdAt));
  }
}

/** Limits, suspensions and what the audit says of them, in the order of their time. */
async function administer(store: StoreVerbs, { runaway, suspended, start, now }: Month, stamp: Stamp): Promise<void> {
  const dollars = (amount: number) => amount * NANO_PER_DOLLAR;
  await store.setLimits(
    { scope: "default", workspaceId: "", id: "" },
    [{ kind: "cost_per_day", max: dollars(500) }, { kind: "concurrent", max: 60 }],
    stamp(DEPLOY, start + DAY_MS / 4),
  );
  // A limit of cost would refuse its model without a price.
  await store.setLimits(
    { ...WORKSPACE, workspaceId: "research" },
    [{ kind: "cost_per_day", max: 0 }],
    stamp(DEPLOY, start + DAY_MS / 4),
  );
  await store.setLimits(
    { ...WORKSPACE, workspaceId: "support-bots" },
    [{ kind: "cost_per_month", max: dollars(200) }],
    stamp(MARIA, start + DAY_MS),
  );
  await store.setLimits(
    { ...WORKSPACE, workspaceId: "checkout" },
    [{ kind: "cost_per_day", max: dollars(120) }, { kind: "cost_per_month", max: dollars(2_000) }],
    stamp(MARIA, start + DAY_MS),
  );
  const { workspaceId, sandboxId } = suspended.sandbox;
  await store.suspend(
    { workspaceId, sandboxId, createdAt: suspended.at, reason: "its token was in a public log" },
    stamp(MARIA, suspended.at),
  );
  await store.revokeToken(tokenIdOf({ sandboxId }), stamp(MARIA, suspended.at + 60_000));
  await store.setLimits(
    { scope: "sandbox", workspaceId: runaway.sandbox.workspaceId, id: runaway.sandbox.sandboxId },
    [{ kind: "cost_per_day", max: dollars(60) }],
    stamp(MARIA, Math.min(runaway.limitedAt, now)),
  );
}

/** A counter is set, not added to, so each has one value. */
function summed(refusals: Month["refusals"]): Month["refusals"] {
  const counts = new Map<string, Month["refusals"][number]>();
  for (const refusal of refusals) {
    const { workspaceId, sandboxId, fault, minute } = refusal;
    const key = JSON.stringify([workspaceId, sandboxId, fault, minute]);
    counts.set(key, { ...refusal, count: refusal.count + (counts.get(key)?.count ?? 0) });
  }
  return [...counts.values()];
}
