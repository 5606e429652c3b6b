import type { UsagePage } from "../../../domain/query.ts";
import type { AdminDeps } from "../../admin_route.ts";
import { DataTable, type TableOrder, wantsCsv } from "../data_table.tsx";
import { Time } from "../figures.tsx";
import type { Page, PageAsked, Shown } from "../page.ts";
import { RangePicker } from "../range.tsx";
import { Cards, Certainty } from "./cards.tsx";
import { columnsOf, GROUPED, type Grouped, groupsCsv, groupsQuery, orderIn } from "./groups.tsx";
import { spendOf, stepsOf, TimeCharts, timeCsv, TimeTable } from "./over_time.tsx";
import { Narrowed, queryOf, type Selection, selectionOf, viewOf } from "./selection.tsx";

/** What was spent, on what and by whom. */
export const OVERVIEW_PAGE: Page = { path: "/dashboard", title: "Overview", isInNavigation: true, show };

const TOP = 10;
/** Enough to name the models that cost most, and to know whether there are others. */
const TOP_MODELS = 6;
/** Of the whole fleet: two months, read from whole months and the days beside them. */
const MOST_DAYS_OF_SANDBOXES = 62;
const DAY_MS = 86_400_000;

interface Table {
  readonly grouped: Grouped;
  readonly order: TableOrder;
  readonly page: UsagePage;
}

async function show({ url, zone, deps }: PageAsked): Promise<Shown> {
  const { store } = deps;
  const selection = selectionOf(url, deps.now());
  const { range: { step }, before } = selection;
  const shown = GROUPED.filter((grouped) => grouped.name !== "sandbox" || hasSandboxes(selection));
  const asked = GROUPED.map((grouped) => ({ grouped, order: orderIn(url, grouped, grouped.name) }));
  const file = asked.find(({ grouped: { name } }) => wantsCsv(url, name));
  if (file !== undefined) return groupsCsv(selection, file.grouped, { ...file, store });
  if (wantsCsv(url, "time")) return timeCsv(step, await stepsOf(selection, store));
  const [all, earlier, steps, ...tables] = await Promise.all([
    store.queryUsage(queryOf(selection, { limit: TOP_MODELS })),
    store.queryUsage(queryOf(selection, before)),
    stepsOf(selection, store),
    ...asked.filter(({ grouped }) => shown.includes(grouped)).map(async ({ grouped, order }): Promise<Table> => {
      return { grouped, order, page: await store.queryUsage(groupsQuery(selection, grouped, { order, limit: TOP })) };
    }),
  ]);
  const { totals } = all;
  const isEmpty = totals.requestCount === 0;
  const models = all.usage.map(({ model = "" }) => model);
  return {
    body: (
      <>
        <RangePicker url={url} range={selection.range} />
        <Narrowed url={url} selection={selection} />
        <p class="hint">
          <Time at={selection.range.since} zone={zone} /> to <Time at={selection.range.until} zone={zone} />, compared with{" "}
          <Time at={before.since} zone={zone} /> to <Time at={before.until} zone={zone} />
          {earlier.totals.requestCount === 0 ? ", when there were no calls. " : ". "}
          <a href={viewOf("/dashboard/traces", url)}>Sessions of these calls</a>
        </p>
        {isEmpty && await isNew(deps) ? <FirstSteps /> : (
          <>
            <Cards totals={totals} before={earlier.totals} />
            {isEmpty ? null : <Certainty totals={totals} />}
            <TimeCharts step={step} steps={steps} spend={await spendOf(selection, { steps, models }, store)} />
            {tables.map((table) => <TopTable url={url} {...table} />)}
            {hasSandboxes(selection) ? null : <SandboxHint {...{ url, selection }} />}
            <TimeTable {...{ url, zone, step, steps }} />
          </>
        )}
      </>
    ),
  };
}

/**
 * Those of a whole year take as long as all the rest of the page. Those of one model or upstream
 * are counted by the hour.
 */
function hasSandboxes(selection: Selection): boolean {
  const { workspaceId, range: { since, until, step } } = selection;
  return workspaceId !== null || step === "hour" || (isOfAll(selection) && until - since <= MOST_DAYS_OF_SANDBOXES * DAY_MS);
}

function isOfAll({ upstream, model }: Selection): boolean {
  return upstream === null && model === null;
}

function TopTable({ url, grouped, order, page }: Table & { readonly url: URL }) {
  const { name, title } = grouped;
  const isWhole = page.next === null;
  return (
    <DataTable
      caption={isWhole ? title : `${title}: the first ${TOP}`}
      columns={columnsOf(grouped, url)}
      rows={page.usage}
      empty={`${title}: no calls in this span.`}
      {...isWhole ? {} : { whole: viewOf("/dashboard/usage", url, { by: name, order: orderText(order) }) }}
      {...{ url, name, order }}
    />
  );
}

function orderText({ key, isAscending }: TableOrder): string {
  return `${key}.${isAscending ? "asc" : "desc"}`;
}

function SandboxHint({ url, selection }: { readonly url: URL; readonly selection: Selection }) {
  if (!isOfAll(selection)) {
    return <p class="panel hint">To see sandboxes here, choose a workspace or a span of at most three days.</p>;
  }
  return (
    <p class="panel hint">
      To see sandboxes here, choose a workspace or a shorter span. The{" "}
      <a href={viewOf("/dashboard/usage", url, { by: "sandbox" })}>list of all sandboxes</a> has this one too.
    </p>
  );
}

/** Whether there has been no call at all. */
async function isNew({ store }: Pick<AdminDeps, "store">): Promise<boolean> {
  const everything = {
    workspaceId: null,
    sandboxId: null,
    upstream: null,
    model: null,
    outcome: null,
    accuracy: null,
    since: null,
    until: null,
  };
  const order = { by: "cost", isAscending: false } as const;
  const { totals } = await store.queryUsage({ ...everything, groupBy: ["model"], order, limit: 1, offset: 0, after: null });
  return totals.requestCount === 0;
}

/** How to get data. */
function FirstSteps() {
  return (
    <section class="empty" aria-label="First steps">
      <h2>No calls yet</h2>
      <p>Make a token for a sandbox, on the machine of the proxy:</p>
      <pre><code>llmproxy token create --workspace acme --sandbox sb-1</code></pre>
      <p>Then point an agent in the sandbox at the proxy, for example Claude Code:</p>
      <pre><code>{FIRST_CALL}</code></pre>
      <p>The call is on this page a moment later.</p>
    </section>
  );
}

const FIRST_CALL = `ANTHROPIC_BASE_URL=http://127.0.0.1:8081 ANTHROPIC_API_KEY=llmp_… claude -p Hello`;
