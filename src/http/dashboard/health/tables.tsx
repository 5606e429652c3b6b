import type { PriceInForce, PricesInForce, UpstreamInForce } from "../../../domain/operations.ts";
import type { RunOfCalls } from "../../../domain/store.ts";
import { type Column, csvResponse, DataTable, sortedRows, type TableOrder, tableOrderOf, wantsCsv } from "../data_table.tsx";
import { Count, durationText, shareText, Time } from "../figures.tsx";
import type { Samples } from "./samples.ts";

/** What a table of the page needs. */
export interface Moment {
  readonly samples: Samples;
  readonly upstreams: readonly UpstreamInForce[];
  readonly prices: PricesInForce;
  /** Of the last `RUNS_MS`. */
  readonly runs: readonly RunOfCalls[];
  /** Milliseconds since the epoch, UTC. */
  readonly at: number;
  readonly zone: string;
}

interface HealthTable<Row> {
  readonly name: string;
  readonly caption: string;
  readonly byDefault: TableOrder;
  readonly columns: (moment: Moment) => readonly Column<Row>[];
  readonly rows: (moment: Moment) => readonly Row[];
  readonly empty: string;
}

interface CredentialRow {
  readonly id: string;
  /** Null: it was removed a moment ago. */
  readonly upstream: string | null;
  /** Null: it is in use. */
  readonly why: string | null;
  readonly retryAt: number | null;
  readonly rooms: readonly (readonly [limit: string, share: number])[];
}

const WHY: Readonly<Record<string, string>> = {
  refused: "out: the upstream refuses it",
  no_credit: "out: its account has no credit",
};

const CREDENTIALS: HealthTable<CredentialRow> = {
  name: "credentials",
  caption: "Upstream credentials",
  byDefault: { key: "credential", isAscending: true },
  columns: ({ zone }) => [
    { key: "credential", title: "Credential", value: ({ id }) => id, cell: ({ id }) => <span class="id">{id}</span> },
    {
      key: "upstream",
      title: "Upstream",
      value: ({ upstream }) => upstream,
      cell: ({ upstream }) => upstream === null ? NONE : <span class="id">{upstream}</span>,
    },
    {
      key: "state",
      title: "State",
      value: ({ why }) => why === null ? "in use" : WHY[why] ?? `out: ${why}`,
      cell: ({ why }) => why === null ? <span class="good">in use</span> : <span class="bad">{WHY[why] ?? `out: ${why}`}</span>,
    },
    {
      key: "next_try",
      title: "Next try",
      value: ({ retryAt }) => retryAt === null ? null : new Date(retryAt).toISOString(),
      cell: ({ retryAt }) => retryAt === null ? NONE : <Time at={retryAt} zone={zone} />,
    },
    {
      key: "room",
      title: "Left of its rate limits",
      isUnsorted: true,
      value: ({ rooms }) => rooms.map(([limit, share]) => `${limit} ${shareText(share * 1_000, 1_000)}`).join(", "),
      cell: ({ rooms }) =>
        rooms.length === 0 ? <span class="missing">no answer of the last minute says</span> : <Rooms rooms={rooms} />,
    },
  ],
  rows: ({ samples, upstreams, at }) =>
    samples.labels("credential_out", "credential").map((id) => {
      const out = samples.all("credential_retry_seconds").find(({ labels }) => labels.credential === id);
      const isOut = samples.of("credential_out", { credential: id }) === 1;
      return {
        id,
        upstream: upstreams.find(({ credentials }) => credentials.some((one) => one.id === id))?.name ?? null,
        why: isOut ? out?.labels.why ?? "unknown" : null,
        retryAt: out === undefined ? null : at + out.value * 1_000,
        rooms: samples.all("upstream_room").filter(({ labels }) => labels.credential === id)
          .map(({ labels, value }) => [labels.limit ?? "", value] as const),
      };
    }),
  empty: "There is no credential.",
};

interface AnswerRow {
  readonly upstream: string;
  readonly outcome: string;
  readonly status: string;
  readonly calls: number;
}

const ANSWERS: HealthTable<AnswerRow> = {
  name: "answers",
  caption: "How calls ended, since the start of this proxy",
  byDefault: { key: "calls", isAscending: false },
  columns: () => [
    {
      key: "upstream",
      title: "Upstream",
      value: ({ upstream }) => upstream,
      cell: ({ upstream }) => <span class="id">{upstream}</span>,
    },
    { key: "outcome", title: "Outcome", value: ({ outcome }) => outcome },
    { key: "status", title: "Upstream status", value: ({ status }) => status },
    { key: "calls", title: "Calls", isNumber: true, value: ({ calls }) => calls, cell: ({ calls }) => <Count value={calls} /> },
  ],
  rows: ({ samples }) => {
    const ends = samples.all("calls_total").map(({ labels, value }) => {
      const { upstream = "", outcome = "", status = "" } = labels;
      return { key: JSON.stringify([upstream, outcome, status]), row: { upstream, outcome, status }, value };
    });
    return [...Map.groupBy(ends, ({ key }) => key).values()].map((found) => {
      return { ...found[0]!.row, calls: found.reduce((sum, { value }) => sum + value, 0) };
    });
  },
  empty: "No call has ended since the start of this proxy.",
};

interface AuthorityRow {
  readonly authority: string;
  readonly answeredAgo: number | null;
  readonly failedAgo: number | null;
  readonly lookups: Readonly<Record<string, number>>;
}

const LOOKUPS = ["known", "unknown", "cached", "grace", "unavailable"];
const AUTHORITIES: Readonly<Record<string, string>> = { agentserver: "control plane", local: "local tokens" };

const AUTHORITY: HealthTable<AuthorityRow> = {
  name: "authorities",
  caption: "Who checks tokens, and what came of it since the start of this proxy",
  byDefault: { key: "authority", isAscending: true },
  columns: ({ at, zone }) => [
    { key: "authority", title: "Authority", value: ({ authority }) => AUTHORITIES[authority] ?? authority },
    {
      key: "state",
      title: "State",
      value: stateOf,
      cell: (row) => <span class={stateOf(row) === "does not answer" ? "bad" : undefined}>{stateOf(row)}</span>,
    },
    ago("answered", "Last answer", { of: ({ answeredAgo }) => answeredAgo, at, zone }),
    ago("failed", "Last failure", { of: ({ failedAgo }) => failedAgo, at, zone }),
    ...LOOKUPS.map((outcome): Column<AuthorityRow> => ({
      key: outcome,
      title: outcome[0]!.toUpperCase() + outcome.slice(1),
      isNumber: true,
      value: ({ lookups }) => lookups[outcome] ?? 0,
      cell: ({ lookups }) => <Count value={lookups[outcome] ?? 0} />,
    })),
  ],
  rows: ({ samples }) =>
    samples.labels("authority_lookups_total", "authority").map((authority) => ({
      authority,
      answeredAgo: samples.of("authority_answer_age_seconds", { authority }),
      failedAgo: samples.of("authority_failure_age_seconds", { authority }),
      lookups: Object.fromEntries(LOOKUPS.map((outcome) => {
        return [outcome, samples.of("authority_lookups_total", { authority, outcome }) ?? 0];
      })),
    })),
  empty: "Nothing is known of token checks.",
};

interface RefusalRow {
  readonly fault: string;
  readonly count: number;
}

const REFUSALS: HealthTable<RefusalRow> = {
  name: "refusals",
  caption: "What the proxy itself refused, since its start",
  byDefault: { key: "requests", isAscending: false },
  columns: () => [
    { key: "fault", title: "Fault", value: ({ fault }) => fault },
    {
      key: "requests",
      title: "Requests",
      isNumber: true,
      value: ({ count }) => count,
      cell: ({ count }) => <Count value={count} />,
    },
  ],
  rows: ({ samples }) =>
    samples.all("refusals_total").filter(({ value }) => value > 0).map(({ labels, value }) => ({
      fault: labels.fault ?? "",
      count: value,
    })),
  empty: "This proxy has refused nothing since its start.",
};

const PRICES: HealthTable<PriceInForce> = {
  name: "prices",
  caption: "Prices in force, US dollars per million tokens",
  byDefault: { key: "model", isAscending: true },
  columns: () => [
    { key: "model", title: "Model", value: ({ model }) => model, cell: ({ model }) => <span class="id">{model}</span> },
    {
      key: "from",
      title: "From",
      value: ({ from }) => from,
      cell: ({ from }) => from === FIRST_DAY ? "the first" : from,
    },
    { key: "until", title: "Ends", value: ({ until }) => until, cell: ({ until }) => until ?? NONE },
    {
      key: "prompt_from",
      title: "Prompts from",
      isNumber: true,
      value: ({ promptFrom }) => promptFrom,
      cell: ({ promptFrom }) => <Count value={promptFrom} />,
    },
    price("input", "Input", ({ input }) => input),
    price("write_5m", "Write 5 min", ({ write5m }) => write5m),
    price("write_1h", "Write 1 h", ({ write1h }) => write1h),
    price("write_30m", "Write 30 min", ({ write30m }) => write30m),
    price("write_12h", "Write 12 h", ({ write12h }) => write12h),
    price("read", "Read", ({ read }) => read),
    price("output", "Output", ({ output }) => output),
    price("audio_input", "Audio input", ({ audioInput }) => audioInput),
    price("audio_output", "Audio output", ({ audioOutput }) => audioOutput),
    { key: "factors", title: "Factors", value: factorsText, cell: (row) => factorsText(row) || NONE },
  ],
  rows: ({ prices }) => prices.prices,
  empty: "No model has a price: every call is unpriced. LLMPROXY_PRICES_FILE adds prices.",
};

/** For so long a run is shown after its last call. */
export const RUNS_MS = 900_000;

const RUNS: HealthTable<RunOfCalls> = {
  name: "runs",
  caption: "Replicas and workers that recorded calls in the last 15 minutes",
  byDefault: { key: "calls", isAscending: false },
  columns: ({ zone }) => [
    {
      key: "run",
      title: "Run",
      value: ({ instanceId }) => instanceId,
      cell: ({ instanceId }) => <span class="id">{instanceId}</span>,
    },
    { key: "calls", title: "Calls", isNumber: true, value: ({ calls }) => calls, cell: ({ calls }) => <Count value={calls} /> },
    {
      key: "latest",
      title: "Latest call",
      value: ({ latestAt }) => new Date(latestAt).toISOString(),
      cell: ({ latestAt }) => <Time at={latestAt} zone={zone} />,
    },
  ],
  rows: ({ runs }) => runs,
  empty: "No call was recorded in the last 15 minutes.",
};

/** Of the built-in list: its first prices hold for all earlier calls too. */
const FIRST_DAY = "1970-01-01";
const NONE = "–";
const SCARCE = 0.1;

/** The tables that say how the upstream and the authorities are, and those behind them. */
export const HEALTH_TABLES = { CREDENTIALS, ANSWERS, AUTHORITY, REFUSALS, RUNS, PRICES } as const;

export function Health<Row>({ table, url, moment }: {
  readonly table: HealthTable<Row>;
  readonly url: URL;
  readonly moment: Moment;
}) {
  const { name, caption, empty } = table;
  const { columns, order, rows } = sortedIn(table, url, moment);
  return <DataTable {...{ caption, name, url, columns, rows, order, empty }} />;
}

/** Null if the request is not for a file. Throws `AdminRefusal` for an unknown order. */
export function healthCsv(url: URL, moment: Moment): Response | null {
  for (const table of Object.values(HEALTH_TABLES) as readonly HealthTable<unknown>[]) {
    if (!wantsCsv(url, table.name)) continue;
    const { columns, rows } = sortedIn(table, url, moment);
    return csvResponse(`health-${table.name}`, columns, [rows]);
  }
  return null;
}

function sortedIn<Row>(table: HealthTable<Row>, url: URL, moment: Moment) {
  const columns = table.columns(moment);
  const order = tableOrderOf(url, columns, table);
  return { columns, order, rows: sortedRows(table.rows(moment), columns, order) };
}

/** A limit of which little is left stands out. */
function Rooms({ rooms }: Pick<CredentialRow, "rooms">) {
  return (
    <>
      {rooms.map(([limit, share], n) => (
        <>
          {n === 0 ? "" : ", "}
          <span class={share < SCARCE ? "warn" : undefined}>{`${limit} ${shareText(share * 1_000, 1_000)}`}</span>
        </>
      ))}
    </>
  );
}

/** The last check tells. */
function stateOf({ answeredAgo, failedAgo }: AuthorityRow): string {
  if (answeredAgo === null && failedAgo === null) return "not asked yet";
  return failedAgo !== null && failedAgo < (answeredAgo ?? Infinity) ? "does not answer" : "answers";
}

function ago(
  key: string,
  title: string,
  { of, at, zone }: { readonly of: (row: AuthorityRow) => number | null; readonly at: number; readonly zone: string },
): Column<AuthorityRow> {
  const timeOf = (row: AuthorityRow) => of(row) === null ? null : Math.round(at - of(row)! * 1_000);
  return {
    key,
    title,
    value: (row) => timeOf(row) === null ? null : new Date(timeOf(row)!).toISOString(),
    cell: (row) =>
      timeOf(row) === null ? NONE : (
        <>
          <Time at={timeOf(row)!} zone={zone} /> ({durationText(of(row)! * 1_000)} ago)
        </>
      ),
  };
}

function price(key: string, title: string, of: (row: PriceInForce) => string | undefined): Column<PriceInForce> {
  const value = (row: PriceInForce) => of(row) === undefined ? null : Number(of(row));
  return { key: `${key}_usd`, title, isNumber: true, value, cell: (row) => of(row) === undefined ? NONE : <>${of(row)}</> };
}

/** What tokens cost that are served fast or in another service tier. */
function factorsText({ fastPercent, serviceTierPercent }: PriceInForce): string {
  const fast = fastPercent === null ? [] : [["fast", fastPercent] as const];
  return [...fast, ...Object.entries(serviceTierPercent)].map(([name, percent]) => `${name} x ${percent / 100}`).join(", ");
}
