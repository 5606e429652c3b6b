import type { DatabaseSync, StatementSync } from "node:sqlite";
import { type Admission, type Bound, LEASE_MS, type LimitRecords, type Reservation } from "../../domain/limits.ts";
import type { Blocking } from "../../async/worker_rpc.ts";
import { limitsChangeOf, limitsVersion, type SentBound, sentBound, storedLimits, TOKENS } from "../limits_sql.ts";
import { integer } from "../row_decoders.ts";
import { changed } from "./changes.ts";
import { inTransaction, readingBigInts } from "./connection.ts";
import type { Queries } from "./queries.ts";

/** What a running call held is forgotten when its holder was silent for so long. */
const SILENT_MS = 3_600_000;
/** Longer than every period: what an ended call held is forgotten, though its row never came. */
const OVER_MS = 40 * 86_400_000;

/** The verbs about limits on one connection. They block. */
export function limitAnswersOn(db: DatabaseSync, queries: Queries): Blocking<LimitRecords> {
  const used = new UsedStatements(db);
  const hold = db.prepare(HOLD);
  const settle = db.prepare("UPDATE reservations SET is_running = 0, tokens = ?, cost = ? WHERE id = ?");
  const release = db.prepare("DELETE FROM reservations WHERE id = ?");
  const renew = db.prepare(RENEW);

  function usedOf(workspaceId: string, bounds: readonly SentBound[]): readonly number[] {
    return bounds.map((bound) => used.of(workspaceId, bound));
  }

  return {
    limitsVersion: () => queries.answer(limitsVersion()),
    listLimits: () => queries.answer(storedLimits()),
    setLimits: (...given) => void changed(db, queries, limitsChangeOf(...given)),
    reserve: (reservation, bounds): Admission =>
      inTransaction(db, () => {
        renew.run(reservation.holder, LEASE_MS);
        const sent = bounds.map((bound) => sentBound(bound, reservation));
        const before = usedOf(reservation.workspaceId, sent);
        const isAdmitted = sent.every(({ adds, max }, n) => before[n]! + adds <= max);
        if (isAdmitted) hold.run(...heldValues({ ...reservation, isRunning: true }));
        return { isAdmitted, used: before };
      }),
    usedOf: (workspaceId, bounds: readonly Bound[]) =>
      usedOf(workspaceId, bounds.map((bound) => sentBound(bound, { tokens: 0, cost: 0 }))),
    hold: (reservations) =>
      inTransaction(db, () => {
        for (const reservation of reservations) {
          renew.run(reservation.holder, LEASE_MS);
          hold.run(...heldValues(reservation));
        }
      }),
    settle: (ended) =>
      inTransaction(db, () => {
        for (const { id, tokens, cost } of ended) settle.run(tokens, cost, id);
      }),
    release: (ids) =>
      inTransaction(db, () => {
        for (const id of ids) release.run(id);
      }),
    renewHolders: ({ holders, running, before }) =>
      inTransaction(db, () => {
        for (const holder of holders) renew.run(holder, LEASE_MS);
        db.prepare(FORGET_OTHERS).run(JSON.stringify(holders), JSON.stringify(running), before);
        db.prepare(FORGET).run(SILENT_MS, before - OVER_MS);
        db.prepare("DELETE FROM reservation_holders WHERE expires_at < unixepoch('subsec') * 1000 - ?").run(SILENT_MS);
      }),
  };
}

/** Deletes what rows held, in the transaction that writes them. */
export class Landings {
  readonly #isAny: StatementSync;
  readonly #delete: StatementSync;

  constructor(db: DatabaseSync) {
    this.#isAny = db.prepare("SELECT 1 FROM reservations LIMIT 1");
    this.#delete = db.prepare("DELETE FROM reservations WHERE id = ?");
  }

  landed(ids: readonly string[]): void {
    if (this.#isAny.get() === undefined) return;
    for (const id of ids) this.#delete.run(id);
  }
}

/** Reads what counts in a bound: settled by rows, and held. */
class UsedStatements {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  of(workspaceId: string, { scope, id, counts, level, since, until }: SentBound): number {
    const key = `${scope} ${counts} ${level}`;
    let statement = this.#statements.get(key);
    if (statement === undefined) {
      statement = readingBigInts(this.#db, usedSql(scope, counts));
      statement.setAllowUnknownNamedParameters(true);
      this.#statements.set(key, statement);
    }
    const row = statement.get({ workspaceId, id, level, since, until });
    return integer(row!, "used");
  }
}

function usedSql(scope: SentBound["scope"], counts: SentBound["counts"]): string {
  const amount = { requests: "request_count", tokens: TOKENS, cost: "cost", running: "0" }[counts];
  const ofRow = counts === "requests" ? "1" : counts === "cost" ? "coalesce(cost, 0)" : amount;
  const held = counts === "tokens" || counts === "cost" ? counts : "1";
  const settled = {
    workspace: `
      SELECT ${amount} AS amount
      FROM usage_rollups
      WHERE workspace_id = :workspaceId AND level = :level AND start = :since AND provider = '' AND model = ''`,
    sandbox: `
      SELECT ${amount} AS amount
      FROM usage_hours
      WHERE sandbox_id = :id AND hour >= :since AND hour < :until AND workspace_id = :workspaceId`,
    trace: `
      SELECT ${ofRow} AS amount
      FROM usage
      WHERE trace_id = :id AND workspace_id = :workspaceId AND created_at >= :since AND created_at < :until`,
  }[scope];
  const whose = { workspace: "", sandbox: "AND sandbox_id = :id", trace: "AND trace_id = :id" }[scope];
  const when = counts === "running" ? "AND is_running" : "AND created_at >= :since AND created_at < :until";
  return `
    SELECT
      coalesce((SELECT sum(amount) FROM (${settled})), 0) + coalesce((
        SELECT sum(${held})
        FROM reservations
        WHERE workspace_id = :workspaceId ${whose} ${when} AND ${COUNTS_HELD}
      ), 0) AS used`;
}

/** The subquery is not correlated: SQLite reads it once and not for each call. */
const COUNTS_HELD = `(
  NOT is_running OR holder IN (SELECT id FROM reservation_holders WHERE expires_at > unixepoch('subsec') * 1000)
)`;

const HOLD = `
  INSERT INTO reservations (id, workspace_id, sandbox_id, trace_id, holder, created_at, tokens, cost, is_running)
  SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
  WHERE NOT EXISTS (SELECT 1 FROM usage WHERE workspace_id = ?2 AND created_at = ?6 AND id = ?1)
  ON CONFLICT (id) DO UPDATE SET tokens = excluded.tokens, cost = excluded.cost, is_running = excluded.is_running`;

/** Rarely writes, because a lease is long. */
const RENEW = `
  INSERT INTO reservation_holders (id, expires_at) VALUES (?1, CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?2)
  ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at WHERE excluded.expires_at - expires_at > ?2 / 4`;

const FORGET_OTHERS = `
  DELETE FROM reservations
  WHERE is_running AND created_at < ?3 AND holder IN (SELECT value FROM json_each(?1))
    AND id NOT IN (SELECT value FROM json_each(?2))`;

const FORGET = `
  DELETE FROM reservations
  WHERE is_running AND holder NOT IN (
    SELECT id FROM reservation_holders WHERE expires_at > unixepoch('subsec') * 1000 - ?
  ) OR created_at < ?`;

function heldValues({ id, workspaceId, sandboxId, traceId, holder, createdAt, tokens, cost, isRunning }: Reservation & {
  readonly isRunning: boolean;
}) {
  return [id, workspaceId, sandboxId, traceId, holder, createdAt, tokens, cost, isRunning ? 1 : 0] as const;
}
