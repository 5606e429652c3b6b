import { monthStart } from "../../domain/calendar.ts";
import type { Ask } from "./connection.ts";
import type { Pool } from "./pool.ts";

/** Lock by which replicas that make partitions take turns: any number that no one else uses. */
const MAKING_MONTHS = 7_242_013_001;

/** How long dropping waits for readers and writers, while others queue behind it. */
const DROP_PATIENCE = "5s";

const PARTITION_NAME = /^usage_(\d{4,})_(\d{2})$/;

export interface Months {
  /** Makes the missing partitions of the months that start at these times, except dropped ones. */
  readonly make: (starts: readonly number[]) => Promise<void>;
  /** Someone may have removed a partition. */
  readonly forget: () => void;
}

/** The partitions of `usage`, one for each month (UTC). */
export function monthsOn(pool: Pool, seconds: number): Months {
  const known = new Set<number>();
  return {
    async make(starts) {
      const unknown = [...new Set(starts)].filter((start) => !known.has(start));
      if (unknown.length === 0) return;
      await pool.run({ access: "write", seconds, ask: (ask) => makeMonths(ask, unknown) });
      for (const start of unknown) known.add(start);
    },
    forget: () => known.clear(),
  };
}

async function makeMonths(ask: Ask, starts: readonly number[]): Promise<void> {
  const dropped = await droppedBefore(ask);
  await ask("SELECT pg_advisory_xact_lock($1)", [MAKING_MONTHS]);
  for (const start of starts.filter((start) => start >= dropped)) {
    const name = partitionName(start);
    const [found] = await ask("SELECT to_regclass($1) IS NOT NULL AS is_there", [name]);
    if (found?.is_there === true) continue;
    // Created separately and then attached: CREATE … PARTITION OF would block writers meanwhile.
    await ask(`
      CREATE TABLE ${name} (LIKE usage INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
      ALTER TABLE usage ATTACH PARTITION ${name} FOR VALUES FROM (${start}) TO (${monthStart(start, 1)})`);
  }
}

/** Rows admitted before this were dropped. Nothing more is dropped until the transaction ends. */
export async function droppedBefore(ask: Ask): Promise<number> {
  const [dropped] = await ask("SELECT before FROM dropped");
  return dropped === undefined ? Number.MIN_SAFE_INTEGER : Number(dropped.before);
}

export async function readClock(ask: Ask): Promise<number> {
  const [row] = await ask("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now");
  return Number(row?.now);
}

/** Drops the months that ended at or before that time, and rows of them that arrive later. */
export async function dropMonths(ask: Ask, before: number): Promise<void> {
  await ask(`SET LOCAL lock_timeout = '${DROP_PATIENCE}'`);
  // Waits for all transactions that have read it, because they rely on what they read.
  await ask("LOCK TABLE dropped IN ACCESS EXCLUSIVE MODE");
  await ask(NOTE_DROPPED, [monthStart(before)]);
  for (const { name } of await ask(PARTITIONS)) {
    const [, year, month] = PARTITION_NAME.exec(String(name)) ?? [];
    if (year === undefined || Date.UTC(Number(year), Number(month)) > before) continue;
    await ask(`ALTER TABLE usage DETACH PARTITION ${name}; DROP TABLE ${name}`);
  }
}

function partitionName(month: number): string {
  const date = new Date(month);
  return `usage_${String(date.getUTCFullYear()).padStart(4, "0")}_${String(date.getUTCMonth() + 1).padStart(2, "0")}`;
}

const NOTE_DROPPED = `
  INSERT INTO dropped (only_row, before) VALUES (1, $1)
  ON CONFLICT (only_row) DO UPDATE SET before = greatest(dropped.before, excluded.before)`;

const PARTITIONS = `
  SELECT relname AS name
  FROM pg_inherits
  JOIN pg_class ON pg_class.oid = inhrelid
  WHERE inhparent = 'usage'::regclass
  ORDER BY relname`;
