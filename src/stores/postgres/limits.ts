import { Buffer } from "node:buffer";
import {
  type Admission,
  type Bound,
  type Held,
  LEASE_MS,
  type LimitRecords,
  type Reservation,
  type Settled,
  type SignOfLife,
} from "../../domain/limits.ts";
import { sentBound } from "../limits_sql.ts";
import type { Row } from "../row_decoders.ts";
import type { Ask } from "./connection.ts";

/** What a running call held is forgotten when its holder was silent for so long. */
const SILENT_MS = 3_600_000;
/** Longer than every period: what an ended call held is forgotten, though its row never came. */
const OVER_MS = 40 * 86_400_000;

/** Of `reserve_call`, by the hash of a workspace. */
const WORKSPACE_LOCKS = 1819109748;
/** A holder whose lease lasts longer is not renewed. `reserve_call` renews at three quarters. */
const FRESH_MS = LEASE_MS * 7 / 8;

/** Calls in one message. Each takes the database a millisecond. */
const ASKED_AT_ONCE = 50;

interface Asked {
  readonly reservation: Reservation;
  readonly bounds: readonly Bound[];
  readonly answer: PromiseWithResolvers<Admission>;
}

/**
 * `LimitRecords.reserve`, by one message at a time, which is one transaction. Calls that come
 * meanwhile go together with the next one: many calls at once need few round trips and commits, and
 * none of them waits so long that the database seems to be away. `send` is `Pool.send`.
 */
export function reservingBy(send: (sql: string) => Promise<readonly Row[]>): LimitRecords["reserve"] {
  const waiting: Asked[] = [];
  let isSending = false;

  async function sendAll(): Promise<void> {
    isSending = true;
    while (waiting.length > 0) {
      const some = waiting.splice(0, ASKED_AT_ONCE);
      try {
        const rows = await send(reservingSql(some));
        for (const [n, { answer }] of some.entries()) answer.resolve(rows[n]!.answer as Admission);
      } catch (error) {
        // Those that wait behind a database that does not answer need not find that out again.
        for (const { answer } of [...some, ...waiting.splice(0)]) answer.reject(error);
      }
    }
    isSending = false;
  }

  return (reservation, bounds) => {
    const answer = Promise.withResolvers<Admission>();
    waiting.push({ reservation, bounds, answer });
    if (!isSending) void sendAll();
    return answer.promise;
  };
}

/**
 * Statements without values. Those with values would take a second round trip: postgres.js
 * describes them first if they are not prepared. The first two take all locks in one order, so that
 * neither two replicas nor an admission and a sign of life wait for each other in a circle: the
 * holders by id, as `RENEW` does, then the workspaces by their locks, of which two can share one.
 */
function reservingSql(asked: readonly Asked[]): string {
  const calls = asked.map(({ reservation, bounds }) => ({
    ...sentHold({ ...reservation, isRunning: true }),
    is_late: false,
    bounds: bounds.map((bound) => sentBound(bound, reservation)),
  }));
  const holders = [...new Set(asked.map(({ reservation: { holder } }) => holder))];
  const workspaces = [...new Set(asked.map(({ reservation: { workspaceId } }) => workspaceId))];
  return `
    INSERT INTO reservation_holders (id, expires_at)
    SELECT id, ${CLOCK} + ${LEASE_MS}
    FROM json_array_elements_text(${sentJson(holders)}) AS sent (id)
    WHERE id COLLATE "C" NOT IN (
      SELECT known.id FROM reservation_holders AS known WHERE known.expires_at > ${CLOCK} + ${FRESH_MS}
    )
    ORDER BY id COLLATE "C"
    ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at;
    SELECT pg_advisory_xact_lock(${WORKSPACE_LOCKS}, key)
    FROM (
      SELECT DISTINCT hashtext(id) AS key FROM json_array_elements_text(${sentJson(workspaces)}) AS sent (id) ORDER BY key
    ) AS keys;
    SELECT reserve_call(call, ${LEASE_MS}) AS answer
    FROM json_array_elements(${sentJson(calls)}) WITH ORDINALITY AS each (call, place)
    ORDER BY place`;
}

/** In base64 the text has nothing that a quoted string gives another meaning. */
function sentJson(value: unknown): string {
  // PostgreSQL takes no NUL.
  const text = JSON.stringify(value, (_, each) => typeof each === "string" ? each.replaceAll("\0", "\ufffd") : each);
  return `convert_from(decode('${Buffer.from(text).toString("base64")}', 'base64'), 'UTF8')::json`;
}

export async function usedOf(ask: Ask, workspaceId: string, bounds: readonly Bound[]): Promise<readonly number[]> {
  const sent = bounds.map((bound) => sentBound(bound, { tokens: 0, cost: 0 }));
  const [row] = await ask("SELECT to_json(limit_used($1, $2)) AS used", [workspaceId, sent]);
  return row!.used as readonly number[];
}

export async function hold(ask: Ask, reservations: readonly Held[]): Promise<void> {
  await ask(RENEW, [[...new Set(reservations.map(({ holder }) => holder))].map((id) => ({ id })), LEASE_MS]);
  await ask(HOLD, [reservations.map((held) => ({ ...sentHold(held), is_late: true }))]);
}

export async function settle(ask: Ask, ended: readonly Settled[]): Promise<void> {
  await ask(SETTLE, [ended.map(({ id, tokens, cost }) => ({ id, tokens, cost }))]);
}

/** Also in the transaction that writes the rows of these calls. */
export async function release(ask: Ask, ids: readonly string[]): Promise<void> {
  await ask(RELEASE, [ids.map((id) => ({ id }))]);
}

export async function renewHolders(ask: Ask, { holders, running, before }: SignOfLife): Promise<void> {
  const ids = holders.map((id) => ({ id }));
  await ask(RENEW, [ids, LEASE_MS]);
  await ask(FORGET_OTHERS, [ids, running.map((id) => ({ id })), before]);
  await ask(FORGET, [SILENT_MS, before - OVER_MS]);
  await ask(FORGET_HOLDERS, [SILENT_MS]);
}

function sentHold({ id, workspaceId, sandboxId, traceId, holder, createdAt, tokens, cost, isRunning }: Held) {
  return {
    ...{ id, workspace_id: workspaceId, sandbox_id: sandboxId, trace_id: traceId, holder },
    ...{ created_at: createdAt, tokens, cost, is_running: isRunning },
  };
}

/** The database's clock, milliseconds since the epoch: those of replicas may differ. */
const CLOCK = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

const RENEW = `
  INSERT INTO reservation_holders (id, expires_at)
  SELECT id, ${CLOCK} + $2
  FROM json_to_recordset($1) AS sent (id TEXT COLLATE "C")
  ORDER BY id
  ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at
  WHERE excluded.expires_at - reservation_holders.expires_at > $2 / 4`;

const HOLD = `
  INSERT INTO reservations
  SELECT *
  FROM json_populate_recordset(NULL::reservations, $1) AS sent
  ORDER BY id
  ON CONFLICT (id) DO UPDATE SET
    tokens = excluded.tokens, cost = excluded.cost, is_running = excluded.is_running, is_late = true`;

/** In the order of ids, like every other change: so no two wait for each other in a circle. */
function locked(columns: string): string {
  return `
    SELECT reservations.id ${columns}
    FROM json_populate_recordset(NULL::reservations, $1) AS sent
    JOIN reservations USING (id)
    ORDER BY reservations.id
    FOR UPDATE OF reservations`;
}

const SETTLE = `
  WITH ended AS MATERIALIZED (${locked(", sent.tokens, sent.cost")})
  UPDATE reservations SET is_running = false, tokens = ended.tokens, cost = ended.cost
  FROM ended
  WHERE reservations.id = ended.id`;

const RELEASE = `
  WITH gone AS MATERIALIZED (${locked("")})
  DELETE FROM reservations USING gone WHERE reservations.id = gone.id`;

const IDS = 'AS sent (id TEXT COLLATE "C")';

const FORGET_OTHERS = `
  DELETE FROM reservations
  WHERE id IN (
    SELECT id
    FROM reservations
    WHERE is_running AND created_at < $3 AND holder IN (SELECT id FROM json_to_recordset($1) ${IDS})
      AND id NOT IN (SELECT id FROM json_to_recordset($2) ${IDS})
    ORDER BY id
    FOR UPDATE SKIP LOCKED
  )`;

const FORGET = `
  DELETE FROM reservations
  WHERE id IN (
    SELECT id
    FROM reservations
    WHERE (is_running AND holder NOT IN (SELECT id FROM reservation_holders WHERE expires_at > ${CLOCK} - $1))
      OR created_at < $2
      OR (is_late AND EXISTS (
        SELECT 1 FROM usage
        WHERE workspace_id = reservations.workspace_id AND created_at = reservations.created_at AND usage.id = reservations.id
      ))
    ORDER BY id
    FOR UPDATE SKIP LOCKED
  )`;

const FORGET_HOLDERS = `
  DELETE FROM reservation_holders
  WHERE id IN (
    SELECT id FROM reservation_holders WHERE expires_at < ${CLOCK} - $1 ORDER BY id FOR UPDATE SKIP LOCKED
  )`;
