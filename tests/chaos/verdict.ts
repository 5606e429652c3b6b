/** Compares what the clients and the upstream know with what PostgreSQL says, row by row. */
import { hourStart } from "../../src/domain/calendar.ts";
import type { PostgresDatabases, Row } from "../postgres_server.ts";
import { type Counts, countsOfCall, isOverloaded, messageIdOf, modelOf, NOTHING } from "./calls.ts";
import type { Told } from "./clients.ts";
import type { End } from "./replicas.ts";

/** A client that has left does not see what becomes of its call. */
const UNNOTICED_MS = 1_000;

/** One promise, how often it was looked at, and where it was broken. */
export interface Finding {
  readonly promise: string;
  readonly looked: number;
  readonly broken: readonly string[];
}

/** What a replica's internal API says of all usage. */
export type ApiUsage = readonly Readonly<Record<string, unknown>>[];

export interface Known {
  readonly told: readonly Told[];
  /** How often the upstream saw the call of that number. */
  readonly upstream: ReadonlyMap<number, number>;
  /** `GET /internal/usage` of each replica. */
  readonly usage: readonly ApiUsage[];
}

interface State {
  readonly rows: readonly Row[];
  readonly traces: readonly Row[];
  readonly hours: readonly Row[];
}

export async function stateOf(postgres: PostgresDatabases): Promise<State> {
  const [rows, traces, hours] = await Promise.all(
    ["usage", "traces", "usage_hours"].map((table) => postgres.psql(`SELECT * FROM ${table}`)),
  ) as [Row[], Row[], Row[]];
  return { rows, traces, hours };
}

export function findingsOf(known: Known, { rows, traces, hours }: State): readonly Finding[] {
  const rowOf = new Map(rows.map((row) => [Number(row.prompt_id), row]));
  const toldOf = new Map(known.told.map((told) => [told.number, told]));
  const whole = known.told.filter(({ outcome }) => outcome === "whole");
  return [
    finding(
      "no call went upstream twice",
      [...known.upstream],
      ([number, count]) => count > 1 && `call ${number}: ${count} times`,
    ),
    finding(
      "every call that went upstream has its row",
      [...known.upstream.keys()],
      (number) => !rowOf.has(number) && `call ${number}`,
    ),
    finding("no call has two rows", rows, (row) => rowOf.get(Number(row.prompt_id)) !== row && `call ${row.prompt_id}`),
    finding("every row is of a call that was made", rows, (row) => !toldOf.has(Number(row.prompt_id)) && `row ${row.id}`),
    finding("an answer that was seen whole has exactly its row", whole, (told) => wrongRow(told, rowOf.get(told.number))),
    finding(
      "a row whose answer no client saw is true",
      rows,
      (row) => untrue(row, toldOf.get(Number(row.prompt_id))),
    ),
    finding(
      "no call was refused but by a proxy that ends",
      known.told,
      (told) => told.outcome === "refused" && !endedMeanwhile(told, ["SIGTERM"]) && `call ${told.number}: ${told.words}`,
    ),
    finding(
      "no call was lost but at a proxy that ended",
      known.told,
      (told) => told.outcome === "lost" && !endedMeanwhile(told, ["SIGKILL", "SIGTERM"]) && `call ${told.number}: ${told.words}`,
    ),
    finding(
      "no answer broke but that of a proxy that was killed",
      known.told,
      (told) => told.outcome === "broken" && !endedMeanwhile(told, ["SIGKILL"]) && `call ${told.number}: ${told.words}`,
    ),
    sums(whole, rowOf),
    same("traces' totals are their rows' sums", totals(rows, traceOf), { found: traces.map(traceTotal), ignoreEmpty: true }),
    same("the hours' totals are their rows' sums", totals(rows, hourOf), { found: hours.map(hourTotal), ignoreEmpty: false }),
    ...known.usage.map((usage, n) =>
      same(`replica ${n + 1} answers with the rows' sums`, totals(rows, modelTotal), {
        found: usage.map(apiTotal),
        ignoreEmpty: false,
      })
    ),
  ];
}

function finding<T>(promise: string, items: readonly T[], broken: (item: T) => string | false | null): Finding {
  return { promise, looked: items.length, broken: items.map(broken).filter((words) => typeof words === "string") };
}

function wrongRow(told: Told, row: Row | undefined): string | null {
  const { number } = told;
  if (row === undefined) return `call ${number} is lost`;
  const refused = isOverloaded(number);
  const expected = {
    id: told.requestId,
    workspace_id: told.workspaceId,
    sandbox_id: told.sandboxId,
    trace_id: told.traceId,
    outcome: refused ? "upstream_error" : "completed",
    accuracy: "exact",
    status: told.status,
    message_id: refused ? null : messageIdOf(number),
    served_model: refused ? null : modelOf(number),
    ...countColumns(refused ? NOTHING : countsOfCall(number)),
  };
  const found = Object.fromEntries(Object.keys(expected).map((column) => [column, plain(row[column])]));
  const [wanted, got] = [JSON.stringify(expected), JSON.stringify(found)];
  return wanted === got ? null : `call ${number}: expected ${wanted}, found ${got}`;
}

/** What a row may say whose answer its client did not see whole. */
function untrue(row: Row, told: Told | undefined): string | null {
  if (told === undefined || told.outcome === "whole") return null;
  const number = Number(row.prompt_id);
  const counts = countsOfRow(row);
  const words = `call ${number}, ${told.outcome} at ${told.replica.name}: ${row.outcome}, ${row.accuracy}, ${
    JSON.stringify(counts)
  }`;
  if (row.outcome === "unknown") {
    return endedMeanwhile(told, ["SIGKILL"]) && sumOf(counts) === 0 && row.accuracy === "unknown" ? null : words;
  }
  if (row.accuracy !== "exact") return null;
  const expected = isOverloaded(number) ? NOTHING : countsOfCall(number);
  return JSON.stringify(counts) === JSON.stringify(expected) ? null : words;
}

/**
 * Whether the call's proxy was ended by one of these while the call was under way there, for all
 * that its client knows.
 */
function endedMeanwhile({ replica, from, to }: Told, signals: readonly End["signal"][]): boolean {
  return replica.ends.some(({ at, signal }) => signals.includes(signal) && at >= from && at <= to + UNNOTICED_MS);
}

function sums(whole: readonly Told[], rowOf: ReadonlyMap<number, Row>): Finding {
  const told = whole.reduce((sum, { number }) => sum + (isOverloaded(number) ? 0 : sumOf(countsOfCall(number))), 0);
  const found = whole.reduce((sum, { number }) => sum + (rowOf.has(number) ? sumOf(countsOfRow(rowOf.get(number)!)) : 0), 0);
  const broken = told === found ? [] : [`the clients were told ${told} tokens, their rows have ${found}`];
  return { promise: `the sums are equal to the token (${told.toLocaleString("en")})`, looked: whole.length, broken };
}

type Total = readonly [key: string, numbers: readonly number[]];

function totals(rows: readonly Row[], of: (row: Row) => Total): readonly Total[] {
  const sums = new Map<string, readonly number[]>();
  for (const [key, numbers] of rows.map(of)) {
    const before = sums.get(key);
    sums.set(key, numbers.map((number, n) => number + (before?.[n] ?? 0)));
  }
  return [...sums];
}

function same(
  promise: string,
  expected: readonly Total[],
  { found, ignoreEmpty }: { readonly found: readonly Total[]; readonly ignoreEmpty: boolean },
): Finding {
  const rest = new Map(found.map(([key, numbers]) => [key, numbers.join()]));
  const broken = expected.filter(([key, numbers]) => {
    const is = rest.get(key) === numbers.join();
    rest.delete(key);
    return !is;
  }).map(([key]) => key);
  const tooMany = [...rest].filter(([, numbers]) => !(ignoreEmpty && /^[0,]+$/.test(numbers))).map(([key]) =>
    `${key} has no rows`
  );
  return { promise, looked: expected.length, broken: [...broken, ...tooMany] };
}

function traceOf(row: Row): Total {
  const { input, output } = countsOfRow(row);
  return [JSON.stringify([row.workspace_id, row.trace_id]), [1, input, output, Number(row.cost ?? 0)]];
}

function traceTotal(trace: Row): Total {
  const numbers = [trace.request_count, trace.total_input_tokens, trace.total_output_tokens, trace.cost].map(Number);
  return [JSON.stringify([trace.workspace_id, trace.id]), numbers];
}

function hourOf(row: Row): Total {
  const model = row.served_model ?? row.requested_model;
  const key = [row.workspace_id, hourStart(Number(row.created_at)), row.sandbox_id, row.provider, model, row.kind];
  return [JSON.stringify(key), [1, ...Object.values(countsOfRow(row)), Number(row.cost ?? 0)]];
}

function hourTotal(hour: Row): Total {
  const key = [hour.workspace_id, Number(hour.hour), hour.sandbox_id, hour.provider, hour.model, hour.kind];
  return [JSON.stringify(key), [Number(hour.request_count), ...Object.values(countsOfRow(hour)), Number(hour.cost)]];
}

function modelTotal(row: Row): Total {
  return [String(row.served_model ?? row.requested_model), [1, ...Object.values(countsOfRow(row))]];
}

function apiTotal(usage: Readonly<Record<string, unknown>>): Total {
  const names = ["requestCount", "inputTokens", "outputTokens", "cacheCreationInputTokens", "cacheReadInputTokens"];
  return [String(usage.model), names.map((name) => Number(usage[name]))];
}

function countColumns({ input, output, cacheCreation, cacheRead }: Counts) {
  return {
    input_tokens: input,
    output_tokens: output,
    cache_creation_input_tokens: cacheCreation,
    cache_read_input_tokens: cacheRead,
  };
}

function countsOfRow(row: Row): Counts {
  return {
    input: Number(row.input_tokens),
    output: Number(row.output_tokens),
    cacheCreation: Number(row.cache_creation_input_tokens),
    cacheRead: Number(row.cache_read_input_tokens),
  };
}

function sumOf(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** BIGINT comes as text. */
function plain(value: unknown): unknown {
  return typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
}
