import type { NewPrice, Repricing } from "../../domain/repricing.ts";
import { retryOf } from "../retries.ts";
import { rowKeyOf } from "../row_decoders.ts";
import { added, countedClosing, placeOf, removed } from "../totals.ts";
import { CLOSING_COLUMNS, sentColumns, storedClosing, usageRowOf } from "../usage_row.ts";
import type { Ask } from "./connection.ts";
import { droppedBefore } from "./months.ts";
import { openPool } from "./pool.ts";
import { POSTGRES_DEFAULTS } from "./store.ts";
import { applyDeltas, lockTraces } from "./totals.ts";

/** One page or one transaction at a time. */
const CONNECTION = { max: 1, connectSeconds: POSTGRES_DEFAULTS.connectSeconds, idleSeconds: 60 };

/**
 * Connects when it is first used. The schema must be up to date. Throws if the URL cannot be read.
 */
export function openPostgresRepricing(url: string): Repricing {
  const pool = openPool(url, CONNECTION);
  const seconds = POSTGRES_DEFAULTS.patientSeconds;
  return {
    read: ({ since, until }, { after, most }) =>
      pool.run({
        access: "read latest",
        seconds,
        ask: async (ask) => {
          const from = Math.max(since, await droppedBefore(ask), after?.call.createdAt ?? since);
          const key = after === null ? [from, "", ""] : [after.call.createdAt, after.call.workspaceId, after.call.id];
          return (await ask(READ, [from, until, ...key, most])).map(usageRowOf);
        },
      }),
    write: (prices) => pool.run({ access: "write", seconds, ask: (ask) => write(ask, prices) }),
    close: () => pool.close(),
  };
}

/** In the same order of tables as `writeRows`. */
async function write(ask: Ask, given: readonly NewPrice[]): Promise<readonly NewPrice[]> {
  const dropped = await droppedBefore(ask);
  const prices = given.filter(({ row }) => row.call.createdAt >= dropped);
  if (prices.length === 0) return [];
  await lockTraces(ask, prices.map(({ row }) => row.call));
  const sent = prices.map(({ row: { call, closing, revision }, to }) => {
    const key = { workspace_id: call.workspaceId, created_at: call.createdAt, id: call.id };
    return { ...sentColumns(CLOSING_COLUMNS, storedClosing({ ...closing, ...to })), ...key, revision };
  });
  const set = new Map((await ask(SET, [sent])).map((row) => [rowKeyOf(row), retryOf(row)]));
  const done = prices.filter((_, n) => set.has(rowKeyOf(sent[n]!)));
  const deltas = prices.flatMap(({ row: { call, closing }, to }, n) => {
    const retry = set.get(rowKeyOf(sent[n]!));
    if (retry === undefined) return [];
    const place = placeOf(call, closing);
    const [before, after] = [closing, { ...closing, ...to }].map((of) => countedClosing(storedClosing(of), retry));
    return [removed(place, before!), added(place, after!)];
  });
  await applyDeltas(ask, deltas);
  return done;
}

const READ = `
  SELECT *
  FROM usage
  WHERE created_at >= $1 AND created_at < $2 AND (created_at, workspace_id, id) > ($3, $4, $5) AND accuracy <> 'unknown'
  ORDER BY created_at, workspace_id, id
  LIMIT $6`;

const SET = `
  UPDATE usage SET
    revision = usage.revision + 1,
    cost = sent.cost,
    price_version = sent.price_version,
    unpriced_uses = sent.unpriced_uses,
    accuracy = sent.accuracy
  FROM json_to_recordset($1) AS sent (
    workspace_id TEXT COLLATE "C", created_at BIGINT, id TEXT COLLATE "C", revision BIGINT, cost BIGINT, price_version TEXT,
    unpriced_uses TEXT, accuracy TEXT
  )
  WHERE usage.workspace_id = sent.workspace_id AND usage.created_at = sent.created_at AND usage.id = sent.id
    AND usage.revision = sent.revision
  RETURNING usage.workspace_id, usage.created_at, usage.id, usage.retry_of, usage.asked_again`;
