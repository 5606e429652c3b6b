import type { DatabaseSync } from "node:sqlite";
import type { Backlog, Refused, Shipment, Spool } from "../../domain/spool.ts";
import { ownedOf, type Row, runRefusalsOf, traceOf } from "../row_decoders.ts";
import { usageRowOf } from "../usage_row.ts";
import { openConnection, readingBigInts, type Synchronous } from "./connection.ts";

/** An embedded database that a shared one replaces, as a spool. */
export interface HandOver extends Spool {
  /** Begins again with what was recorded since then. Returns the number of its rows. */
  readonly reship: (since: number) => number;
  readonly close: () => void;
}

export interface HandOverOptions {
  readonly synchronous: Synchronous;
  /** Keeps what the shared database refuses. */
  readonly onRefused: (refused: Refused) => void;
}

/** How far the hand-over is. Each kind is read in the order of its key. */
interface Place {
  readonly kind: number;
  readonly after: readonly (string | number)[];
}

/**
 * Nothing in the database changes while it is handed over, except that its end is noted in it. A
 * hand-over that is broken off begins again, because what is shipped twice counts once. Throws
 * SQLite's error.
 */
export function openHandOver(path: string, { synchronous, onRefused }: HandOverOptions): HandOver {
  const db = openConnection(path, { synchronous, busyTimeoutMs: 5_000, autoCheckpointPages: 1_000, cacheKib: 8_000 });
  try {
    return handOverOn(db, onRefused);
  } catch (error) {
    db.close();
    throw error;
  }
}

function handOverOn(db: DatabaseSync, onRefused: HandOverOptions["onRefused"]): HandOver {
  const pages = KINDS.map((kind) => readingBigInts(db, pageOf(kind)));
  let since = Number.MIN_SAFE_INTEGER;
  let place: Place | null = null;
  let rowsLeft = 0;
  if (db.prepare("SELECT 1 FROM handed_over").get() === undefined) begin();

  function begin(): void {
    place = startOf(0);
    rowsLeft = Number(db.prepare("SELECT count(*) AS rows FROM usage WHERE revision > 0 AND created_at >= ?").get(since)?.rows);
  }

  return {
    unshipped(most) {
      for (; place !== null; place = place.kind + 1 < KINDS.length ? startOf(place.kind + 1) : null) {
        const rows = pages[place.kind]!.all(...place.after, since, most);
        if (rows.length > 0) return shipmentOf(rows, place.kind);
      }
      db.exec("INSERT INTO handed_over (only_row) VALUES (1) ON CONFLICT DO NOTHING");
      return NOTHING;
    },
    shipped({ rows, upTo }, refused) {
      onRefused(refused);
      place = upTo as Place;
      rowsLeft -= rows.length;
    },
    retryQuarantined: () => 0,
    backlog(): Backlog {
      if (place === null) return { rows: 0, oldestCreatedAt: null, quarantined: 0 };
      const oldest = db.prepare("SELECT min(created_at) AS at FROM usage WHERE created_at >= ?").get(since)?.at ?? null;
      return { rows: rowsLeft, oldestCreatedAt: oldest === null ? null : Number(oldest), quarantined: 0 };
    },
    reship(from) {
      since = from;
      db.exec("DELETE FROM handed_over");
      begin();
      return rowsLeft;
    },
    close: () => db.close(),
  };
}

interface Kind {
  readonly table: string;
  readonly key: readonly string[];
  readonly since: string;
  readonly shipment: (rows: readonly Row[]) => Partial<Shipment>;
}

/** In the order in which they are shipped: a row makes an unknown trace, but without its source. */
const KINDS: readonly Kind[] = [
  {
    table: "owned",
    key: ["id"],
    since: "created_at >= ?",
    shipment: (rows) => ({ owned: rows.map(ownedOf) }),
  },
  {
    table: "traces",
    key: ["workspace_id", "id"],
    since: "updated_at >= ?",
    shipment: (rows) => ({ traces: rows.map(traceOf) }),
  },
  {
    table: "usage",
    key: ["workspace_id", "created_at", "id"],
    since: "revision > 0 AND created_at >= ?",
    shipment: (rows) => ({ rows: rows.map(usageRowOf) }),
  },
  {
    table: "refusals",
    key: ["workspace_id", "sandbox_id", "minute", "fault", "instance_id"],
    since: "minute + 60000 > ?",
    shipment: (rows) => ({ refusals: rows.map(runRefusalsOf) }),
  },
];

const NOTHING: Shipment = { rows: [], traces: [], refusals: [], owned: [], upTo: null, isFull: false };

function isTime(column: string): boolean {
  return column === "created_at" || column === "minute";
}

function startOf(kind: number): Place {
  return { kind, after: KINDS[kind]!.key.map((column) => isTime(column) ? Number.MIN_SAFE_INTEGER : "") };
}

function shipmentOf(rows: readonly Row[], kind: number): Shipment {
  const { key, shipment } = KINDS[kind]!;
  const after = key.map((column) => isTime(column) ? Number(rows.at(-1)![column]) : String(rows.at(-1)![column]));
  return { ...NOTHING, ...shipment(rows), upTo: { kind, after } satisfies Place, isFull: true };
}

function pageOf({ table, key, since }: Kind): string {
  const columns = key.join(", ");
  return `
    SELECT *
    FROM ${table}
    WHERE (${columns}) > (${key.map(() => "?").join(", ")}) AND ${since}
    ORDER BY ${columns}
    LIMIT ?`;
}
