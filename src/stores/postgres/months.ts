import { monthStart } from "../../domain/calendar.ts";
import type { Ask } from "./connection.ts";
import type { Pool } from "./pool.ts";

/** Replicas that make partitions at the same time take turns; any number that nobody else uses. */
const MAKING_MONTHS = 7_242_013_001;

/** How long dropping waits for those who read or write, while others wait behind it. */
const DROP_PATIENCE = "5s";

const PARTITION_NAME = /^usage_(\d{4,})_(\d{2})$/;

/** The partitions of `usage`, one a month (UTC). */
export class Months {
  readonly #pool: Pool;
  readonly #seconds: number;
  readonly #known = new Set<number>();

  constructor(pool: Pool, { seconds }: { readonly seconds: number }) {
    this.#pool = pool;
    this.#seconds = seconds;
  }

  /** Makes the partitions of the months that begin at these times, where they are not there; those that were dropped stay away. */
  async make(starts: readonly number[]): Promise<void> {
    const unknown = [...new Set(starts)].filter((start) => !this.#known.has(start));
    if (unknown.length === 0) return;
    await this.#pool.run({ access: "write", seconds: this.#seconds, ask: (ask) => makeMonths(ask, unknown) });
    for (const start of unknown) this.#known.add(start);
  }

  /** What was known may have changed. */
  forget(): void {
    this.#known.clear();
  }
}

async function makeMonths(ask: Ask, starts: readonly number[]): Promise<void> {
  const dropped = await droppedBefore(ask);
  await ask("SELECT pg_advisory_xact_lock($1)", [MAKING_MONTHS]);
  for (const start of starts.filter((start) => start >= dropped)) {
    const name = partitionName(start);
    const [found] = await ask("SELECT to_regclass($1) IS NOT NULL AS is_there", [name]);
    if (found?.is_there === true) continue;
    // Made on its own and then attached: rows go on being written meanwhile, which CREATE … PARTITION OF would hold up.
    await ask(`
      CREATE TABLE ${name} (LIKE usage INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
      ALTER TABLE usage ATTACH PARTITION ${name} FOR VALUES FROM (${start}) TO (${monthStart(start, 1)})`);
  }
}

/** Rows admitted before this have been dropped. Until the transaction ends, nothing more is dropped. */
export async function droppedBefore(ask: Ask): Promise<number> {
  const [dropped] = await ask("SELECT before FROM dropped");
  return dropped === undefined ? Number.MIN_SAFE_INTEGER : Number(dropped.before);
}

export async function readClock(ask: Ask): Promise<number> {
  const [row] = await ask("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now");
  return Number(row?.now);
}

/** Drops the months that ended at or before that time, and whatever comes of them later. */
export async function dropMonths(ask: Ask, before: number): Promise<void> {
  await ask(`SET LOCAL lock_timeout = '${DROP_PATIENCE}'`);
  // Waits for everybody who has read it: they go by what they read there.
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
