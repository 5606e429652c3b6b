import type { Page, PageAsked, Shown } from "../page.ts";
import { rangeOf } from "../range.tsx";
import { Chart } from "../chart.tsx";
import { stepsOf } from "../overview/over_time.tsx";
import { MachineCards, Status } from "./machine_cards.tsx";
import { Samples } from "./samples.ts";
import { Health, HEALTH_TABLES, healthCsv, type Moment, RUNS_MS } from "./tables.tsx";

/** How the machine, the upstream and the control plane are. */
export const HEALTH_PAGE: Page = { path: "/dashboard/health", title: "Health", isInNavigation: true, show };

async function show({ url, zone, deps }: PageAsked): Promise<Shown> {
  const at = deps.now();
  const samples = new Samples(await deps.samples());
  const moment: Moment = {
    samples,
    upstreams: deps.upstreams(),
    prices: deps.prices(),
    runs: await deps.store.queryRuns(at - RUNS_MS),
    at,
    zone,
  };
  const file = healthCsv(url, moment);
  if (file !== null) return file;
  const range = rangeOf(new URL(url.pathname, url), at, "24h");
  const all = { workspaceId: null, sandboxId: null, upstream: null, model: null, range, before: range, asOf: at };
  const steps = await stepsOf(all, deps.store);
  return {
    body: (
      <>
        <Status readiness={deps.readiness()} version={deps.version} />
        <MachineCards samples={samples} />
        <Health table={HEALTH_TABLES.RUNS} url={url} moment={moment} />
        <h2>Upstream</h2>
        <Health table={HEALTH_TABLES.CREDENTIALS} url={url} moment={moment} />
        <div class="charts">
          <Chart
            title="Failed calls by hour, of all machines"
            unit="count"
            kind="bars"
            step="hour"
            at={steps.map((step) => step.at)}
            series={[{ name: "failed", values: steps.map(({ failedCount }) => failedCount) }]}
          />
        </div>
        <p>
          <a href="/dashboard?range=24h">These hours as a table</a>
        </p>
        <Health table={HEALTH_TABLES.ANSWERS} url={url} moment={moment} />
        <h2>Control plane and tokens</h2>
        <Health table={HEALTH_TABLES.AUTHORITY} url={url} moment={moment} />
        <h2>Refusals</h2>
        <Health table={HEALTH_TABLES.REFUSALS} url={url} moment={moment} />
        <h2>Prices</h2>
        <p class="hint">Price list {moment.prices.version}</p>
        <Health table={HEALTH_TABLES.PRICES} url={url} moment={moment} />
      </>
    ),
  };
}
