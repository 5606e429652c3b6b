import type { DatabaseSync } from "node:sqlite";
import type { Blocking } from "../../../async/worker_rpc.ts";
import type { Owned } from "../../../domain/owned.ts";
import type { Backlog, Refused, Spool, SpoolCare, SpoolLookups } from "../../../domain/spool.ts";
import type { LocalToken, TokenCopies } from "../../../domain/tokens.ts";
import type { Trace } from "../../../domain/trace.ts";
import { type OpenCall, type UsageRow } from "../../../domain/usage.ts";
import { integer, localTokenOf } from "../../row_decoders.ts";
import { inTransaction, openConnection, readingBigInts, type Synchronous } from "../connection.ts";
import { checkpointsOn } from "../checkpoints.ts";
import { Entries, type Note, type Opened } from "./entries.ts";

/** Which store gets the rows: `embedded` in the same directory, or the `shared` database. */
export type StoreKind = "embedded" | "shared";

/** How long a write waits for the ledger's transactions, which take milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;
/** Of each kind in one transaction: about 5 ms, for which the ledger's commits wait. */
const PRUNED_AT_ONCE = 500;
/** A counter of refusals, or a claim, may be needed again for so long. */
const NEEDED_MS = 86_400_000;
/** Unshipped calls whose traces `findTraceHere` looks through: some milliseconds. */
const SEARCHED_CALLS = 10_000;

/** The side of the spool that is not on the hot path. */
export interface OutgoingSpool extends Spool, Blocking<SpoolLookups & SpoolCare & TokenCopies> {
  /** Quarantines rows, and queues the other things again. */
  readonly keepRefused: (refused: Refused) => void;
  /** For `copySpools`: the open connection still has what the files have lost. */
  readonly db: DatabaseSync;
  /** As `checkpointsOn`. */
  readonly checkpoint: () => void;
  readonly close: () => void;
}

interface UpTo {
  readonly calls: number;
  readonly notes: number;
  readonly opened: number;
}

export interface OutgoingOptions {
  readonly synchronous: Synchronous;
  readonly store: StoreKind;
}

/**
 * Opens the spool on a connection of its own. The schema must be up to date. What a shared database
 * got is shipped to the embedded one too, as far as it is still here. Throws SQLite's error.
 */
export function openOutgoing(path: string, { synchronous, store }: OutgoingOptions): OutgoingSpool {
  const db = openConnection(path, { synchronous, busyTimeoutMs: BUSY_TIMEOUT_MS, autoCheckpointPages: 0, cacheKib: 8_000 });
  try {
    // An embedded database is handed over itself, so its rows are not shipped from here again.
    if (store === "embedded") db.exec("UPDATE shipped SET calls = 0, notes = 0 WHERE store = 'shared'");
    db.prepare("UPDATE shipped SET store = ? WHERE store <> ?").run(store, store);
    return outgoingOn(db, store, checkpointsOn(db, { path, busyTimeoutMs: BUSY_TIMEOUT_MS }));
  } catch (error) {
    db.close();
    throw error;
  }
}

function outgoingOn(db: DatabaseSync, store: StoreKind, checkpoint: () => void): OutgoingSpool {
  const entries = new Entries(db);
  const calls = db.prepare("SELECT number, opened, revision, closing FROM closed_calls WHERE number > ? ORDER BY number LIMIT ?");
  const notes = db.prepare("SELECT number, kind, body FROM notes WHERE number > ? ORDER BY number LIMIT ?");
  const newlyOpen = db.prepare("SELECT number, opened FROM open_calls WHERE number > ? ORDER BY number LIMIT ?");
  const mark = db.prepare("UPDATE shipped SET calls = max(calls, ?), notes = max(notes, ?)");
  const quarantine = db.prepare(QUARANTINE);
  const measure = db.prepare(BACKLOG);
  const dropCalls = db.prepare(droppingOf("closed_calls", "calls"));
  const dropNotes = db.prepare(droppingOf("notes", "notes"));
  /** The store has the traces of open calls up to this number. After a restart all come again. */
  let opened = 0;

  function shippedUpTo(): { readonly calls: number; readonly notes: number } {
    const found = db.prepare("SELECT calls, notes FROM shipped").get()!;
    return { calls: Number(found.calls), notes: Number(found.notes) };
  }

  function drop(before: number): number {
    const dropped = [dropCalls, dropNotes].map((drop) => Number(drop.run(before, PRUNED_AT_ONCE).changes));
    return Math.max(...dropped);
  }

  /** In the caller's transaction. */
  function keepRefused({ rows, traces, refusals, owned }: Refused): void {
    for (const { row: { call, closing, revision }, reason } of rows) {
      const opened: Opened = { call, trace: null };
      quarantine.run(call.traceId, call.createdAt, JSON.stringify(opened), revision, JSON.stringify(closing), reason);
    }
    for (const trace of traces) entries.join(trace);
    for (const body of refusals) entries.note({ kind: "refusals", at: body.minute, body });
    for (const body of owned) entries.note({ kind: "owned", at: body.createdAt, body });
  }

  return {
    unshipped(most) {
      const from = shippedUpTo();
      const found = {
        calls: calls.all(from.calls, most),
        notes: notes.all(from.notes, most),
        opened: newlyOpen.all(opened, most),
      };
      const ended = found.calls.map(({ opened, revision, closing }) => ({
        ...JSON.parse(String(opened)) as Opened,
        closing: JSON.parse(String(closing)) as UsageRow["closing"],
        revision: Number(revision),
      }));
      const others = found.notes.map(({ kind, body }) => ({ kind, body: JSON.parse(String(body)) }) as Note);
      const begun = found.opened.map(({ opened }) => JSON.parse(String(opened)) as Opened);
      return {
        rows: ended.map(({ call, closing, revision }) => ({ call, closing, revision })),
        traces: latest([...ended, ...begun].flatMap(({ trace }) => trace ?? []), others),
        refusals: others.flatMap((note) => note.kind === "refusals" ? note.body : []),
        owned: others.flatMap((note) => note.kind === "owned" ? note.body : []),
        upTo: {
          calls: Number(found.calls.at(-1)?.number ?? from.calls),
          notes: Number(found.notes.at(-1)?.number ?? from.notes),
          opened: Number(found.opened.at(-1)?.number ?? opened),
        } satisfies UpTo,
        isFull: [found.calls, found.notes, found.opened].some((some) => some.length === most),
      };
    },
    shipped({ upTo }, refused) {
      const reached = upTo as UpTo;
      inTransaction(db, () => {
        mark.run(reached.calls, reached.notes);
        keepRefused(refused);
        // The embedded store is as lasting as the spool. A shared one may lose rows in a failover.
        if (store === "embedded") drop(Number.MAX_SAFE_INTEGER);
      });
      opened = Math.max(opened, reached.opened);
    },
    keepRefused: (refused) => inTransaction(db, () => keepRefused(refused)),
    retryQuarantined: () =>
      inTransaction(db, () => {
        const { changes } = db.prepare(RETRY).run();
        if (changes !== 0) db.prepare("DELETE FROM quarantined").run();
        return Number(changes);
      }),
    backlog(): Backlog {
      const { rows, oldest, quarantined } = measure.get() ?? {};
      return { rows: Number(rows), oldestCreatedAt: oldest === null ? null : Number(oldest), quarantined: Number(quarantined) };
    },

    findOwnedHere: (ids) =>
      db.prepare("SELECT body FROM owned WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id").all(JSON.stringify(ids))
        .map(({ body }) => JSON.parse(String(body)) as Owned),
    findTraceHere(workspaceId, id) {
      const traces = [
        ...db.prepare(TRACES_OF_CALLS).all(id, id, SEARCHED_CALLS).map(({ opened }) =>
          (JSON.parse(String(opened)) as Opened).trace
        ),
        ...db.prepare(JOINED).all(id).map(({ body }) => JSON.parse(String(body)) as Trace),
      ].filter((trace) => trace?.workspaceId === workspaceId);
      return traces[0] ?? null;
    },
    openCalls: () =>
      db.prepare("SELECT opened FROM open_calls ORDER BY created_at, number").all()
        .map(({ opened }): OpenCall => (JSON.parse(String(opened)) as Opened).call),

    prune: (before, now) =>
      inTransaction(db, () => {
        const unneeded = Math.min(before, now - NEEDED_MS);
        const others = [PRUNE_REFUSALS, PRUNE_OWNED].map((sql) => Number(db.prepare(sql).run(unneeded, PRUNED_AT_ONCE).changes));
        return [drop(before), ...others].includes(PRUNED_AT_ONCE);
      }),
    pruneTokens: (before) => Number(db.prepare(PRUNE_TOKENS).run(before, PRUNED_AT_ONCE).changes) === PRUNED_AT_ONCE,
    reship: (since) =>
      inTransaction(db, () => {
        for (const [table, column] of [["closed_calls", "calls"], ["notes", "notes"]]) {
          db.prepare(`
            UPDATE shipped SET ${column} = min(${column}, coalesce((SELECT min(number) - 1 FROM ${table} WHERE created_at >= ?), ${column}))
          `).run(since);
        }
        opened = 0;
        return Number(measure.get()?.rows);
      }),

    keepTokenCopy(token: LocalToken, sha256, { seenAt }) {
      const { id, workspaceId, sandboxId, createdAt, expiresAt, revokedAt } = token;
      db.prepare(KEEP_COPY).run(id, sha256, workspaceId, sandboxId, createdAt, expiresAt, revokedAt, seenAt);
    },
    findTokenCopy(sha256) {
      const row = readingBigInts(db, "SELECT * FROM token_copies WHERE sha256 = ?").get(sha256);
      return row === undefined ? null : { token: localTokenOf(row), sha256, seenAt: integer(row, "seen_at") };
    },
    revokeTokenCopy(id, at) {
      db.prepare("UPDATE token_copies SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?").run(at, id);
    },

    db,
    checkpoint,
    close: () => db.close(),
  };
}

/** Each trace once, as its first call made it and with its latest activity. */
function latest(ofCalls: readonly Trace[], notes: readonly Note[]): readonly Trace[] {
  const found = new Map<string, Trace>();
  for (const trace of [...ofCalls, ...notes.flatMap((note) => note.kind === "trace" ? note.body : [])]) {
    const key = JSON.stringify([trace.workspaceId, trace.id]);
    const other = found.get(key) ?? trace;
    const first = trace.createdAt < other.createdAt ? trace : other;
    found.set(key, { ...first, updatedAt: Math.max(other.updatedAt, trace.updatedAt) });
  }
  return [...found.values()];
}

const CALL_COLUMNS = "trace_id, created_at, opened, revision, closing";

const QUARANTINE = `INSERT INTO quarantined (${CALL_COLUMNS}, reason) VALUES (?, ?, ?, ?, ?, ?)`;

const RETRY = `INSERT INTO closed_calls (${CALL_COLUMNS}) SELECT ${CALL_COLUMNS} FROM quarantined ORDER BY number`;

const BACKLOG = `
  SELECT
    coalesce((SELECT max(number) FROM closed_calls), 0) - min(calls, coalesce((SELECT max(number) FROM closed_calls), 0)) AS rows,
    (SELECT created_at FROM closed_calls WHERE number > shipped.calls ORDER BY number LIMIT 1) AS oldest,
    (SELECT count(*) FROM quarantined) AS quarantined
  FROM shipped`;

const TRACES_OF_CALLS = `
  SELECT opened FROM open_calls WHERE trace_id = ?
  UNION ALL
  SELECT opened
  FROM closed_calls
  WHERE trace_id = ?
    AND number > max((SELECT calls FROM shipped), (SELECT coalesce(max(number), 0) FROM closed_calls) - ?)`;

const JOINED = `
  SELECT body FROM notes
  WHERE kind = 'trace' AND number > (SELECT notes FROM shipped) AND json_extract(body, '$.id') = ?`;

/**
 * The oldest that are shipped, up to the first that is too young. The newest one stays, so that its
 * number is not used again.
 */
function droppingOf(table: string, column: string): string {
  return `
    DELETE FROM ${table} WHERE number IN (
      SELECT number
      FROM (SELECT number, max(created_at) OVER (ORDER BY number) AS youngest FROM (
        SELECT number, created_at
        FROM ${table}
        WHERE number <= (SELECT ${column} FROM shipped) AND number < (SELECT max(number) FROM ${table})
        ORDER BY number
        LIMIT ?2
      ))
      WHERE youngest < ?1
    )`;
}

const PRUNE_REFUSALS = `
  DELETE FROM refusals WHERE (workspace_id, sandbox_id, minute, fault, instance_id) IN (
    SELECT workspace_id, sandbox_id, minute, fault, instance_id FROM refusals WHERE minute + 60000 <= ? LIMIT ?
  )`;

const PRUNE_OWNED = "DELETE FROM owned WHERE id IN (SELECT id FROM owned WHERE created_at < ? LIMIT ?)";

const PRUNE_TOKENS = "DELETE FROM token_copies WHERE sha256 IN (SELECT sha256 FROM token_copies WHERE seen_at < ? LIMIT ?)";

const KEEP_COPY = `
  INSERT INTO token_copies (id, sha256, workspace_id, sandbox_id, created_at, expires_at, revoked_at, seen_at)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (sha256) DO UPDATE SET
    expires_at = excluded.expires_at,
    revoked_at = coalesce(revoked_at, excluded.revoked_at),
    seen_at = max(seen_at, excluded.seen_at)`;
