import { ALL_KINDS, type Limit, LIMIT_KINDS, type LimitKind, type LimitPlace } from "../../../domain/limits.ts";
import { costUsd } from "../../../domain/money.ts";
import type { UsageTotals } from "../../../domain/totals.ts";
import { AdminRefusal, shown } from "../../admin_refusal.ts";
import type { AdminDeps } from "../../admin_route.ts";
import { changeQuota, isMoney, KEYS, kindsOf, type LimitInForce, limitsInForce, usedLimits } from "../../quotas.ts";
import { Confirm } from "../confirm.tsx";
import { type Column, DataTable } from "../data_table.tsx";
import { dollarsText, shareText, Time, wholeText } from "../figures.tsx";
import { FormToken } from "../layout.tsx";
import type { FormSent, PageAsked } from "../page.ts";
import { type Spending, tokensOf } from "./spending.ts";

/** One kind of limit at a place, whether there is one or not. */
export interface LimitRow {
  readonly kind: LimitKind;
  /** Null: there is no limit. */
  readonly inForce: LimitInForce | null;
  /** With what calls that run hold; null at the default. */
  readonly used: number | null;
  /** The part of it that calls hold which run or are not counted yet. */
  readonly held: number | null;
  /** Milliseconds since the epoch. */
  readonly until: number | null;
  /** It is set here and not by default. */
  readonly isOwn: boolean;
}

/** Each kind that a workspace or sandbox can have. */
export async function limitRowsOf(place: LimitPlace, spending: Spending, deps: AdminDeps): Promise<readonly LimitRow[]> {
  const [inForce, all] = [await usedLimits(place, deps), await deps.limits.list()];
  return kindsOf(place.scope).map((kind) => {
    const limit = inForce.find((one) => one.kind === kind) ?? null;
    const ended = endedIn(kind, spending);
    return {
      kind,
      inForce: limit,
      used: limit?.used ?? ended,
      held: limit === null || ended === null ? null : Math.max(0, limit.used - ended),
      until: limit?.until ?? null,
      isOwn: isOwn(all, place, kind),
    };
  });
}

/** Each kind that holds for workspaces and traces without one of their own. */
export async function defaultLimitRows(place: LimitPlace, { limits }: AdminDeps): Promise<readonly LimitRow[]> {
  const all = await limits.list();
  const inForce = limitsInForce(place, { all, defaults: limits.defaults });
  return kindsOf(place.scope).map((kind) => ({
    ...{ kind, used: null, held: null, until: null, isOwn: isOwn(all, place, kind) },
    inForce: inForce.find((limit) => limit.kind === kind) ?? null,
  }));
}

/** Of the limits that ended calls tell of, the one with the least room; null without one. */
export function tightestOf(
  inForce: readonly LimitInForce[],
  spending: Spending,
): { readonly limit: LimitInForce; readonly used: number } | null {
  const known = inForce.flatMap((limit) => {
    const used = endedIn(limit.kind, spending);
    return used === null ? [] : [{ limit, used }];
  });
  return known.toSorted((a, b) => b.used / b.limit.max - a.used / a.limit.max)[0] ?? null;
}

/** `$3.20 of $50.00 a day (6.4 %)`, with a bar. */
export function LimitUse({ kind, max, used }: Pick<LimitInForce, "kind" | "max"> & { readonly used: number }) {
  const share = Math.min(1, used / max);
  const level = share >= 1 ? "bar bad" : share >= 0.8 ? "bar warn" : "bar";
  return (
    <>
      <svg class="use" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect class="bar behind" width="100" height="6" />
        <rect class={level} width={(share * 100).toFixed(1)} height="6" />
      </svg>
      <span class="of-limit">{`${amountText(kind, used)} of ${limitText(kind, max)} (${shareText(used, max)})`}</span>
    </>
  );
}

/** `$50.00 a day`, `500 requests a day`. */
function limitText(kind: LimitKind, max: number): string {
  return `${amountText(kind, max)} ${LIMIT_KINDS[kind].words.replace(/^dollars /, "")}`;
}

export function LimitTable({ asked, scope, rows, actionOf }: {
  readonly asked: PageAsked;
  readonly scope: LimitPlace["scope"];
  readonly rows: readonly LimitRow[];
  /** The path of an action. */
  readonly actionOf: (name: string) => string;
}) {
  const { session, formToken, zone, url } = asked;
  const columns = limitColumns(zone).filter(({ key }) => scope !== "default" || OF_DEFAULTS.includes(key));
  const forms: Column<LimitRow> = {
    key: "change",
    title: "Change",
    isUnsorted: true,
    value: () => null,
    cell: (row) => <LimitForms row={row} actionOf={actionOf} formToken={formToken} />,
  };
  return (
    <DataTable
      caption={scope === "default" ? "Default limits" : "Limits"}
      url={url}
      name={LIMITS}
      columns={session.role === "admin" ? [...columns, forms] : columns}
      rows={rows}
      order={UNSORTED}
      empty={null}
    />
  );
}

const UNSORTED = { key: "", isAscending: true };
/** Nothing is used of a default. */
const OF_DEFAULTS = ["limit", "max", "source"];

/** Of the table in the URL. */
export const LIMITS = "limits";

export function limitColumns(zone: string): readonly Column<LimitRow>[] {
  return [
    {
      key: "limit",
      title: "Limit",
      isUnsorted: true,
      value: ({ kind }) => KEYS[kind],
      cell: ({ kind }) => LIMIT_KINDS[kind].words,
    },
    {
      key: "max",
      title: "At most",
      isNumber: true,
      isUnsorted: true,
      value: ({ kind, inForce }) => inForce === null ? null : exact(kind, inForce.max),
      cell: ({ kind, inForce }) => inForce === null ? <span class="missing">no limit</span> : amountText(kind, inForce.max),
    },
    {
      key: "used",
      title: "Used",
      isUnsorted: true,
      value: ({ kind, used }) => used === null ? null : exact(kind, used),
      cell: ({ kind, inForce, used }) =>
        used === null ? "–" : inForce === null ? amountText(kind, used) : <LimitUse kind={kind} max={inForce.max} used={used} />,
    },
    {
      key: "held",
      title: "Held",
      isNumber: true,
      isUnsorted: true,
      value: ({ kind, held }) => held === null ? null : exact(kind, held),
      cell: ({ kind, held }) => held === null ? "–" : amountText(kind, held),
    },
    {
      key: "resets_at",
      title: "Resets",
      isUnsorted: true,
      value: ({ until }) => until === null ? null : new Date(until).toISOString(),
      cell: ({ until }) => until === null ? "–" : <Time at={until} zone={zone} />,
    },
    { key: "source", title: "Set by", isUnsorted: true, value: ({ inForce }) => inForce?.source ?? null },
  ];
}

function LimitForms({ row: { kind, inForce, isOwn }, actionOf, formToken }: {
  readonly row: LimitRow;
  readonly actionOf: (name: string) => string;
  readonly formToken: string;
}) {
  const { words } = LIMIT_KINDS[kind];
  const value = inForce === null ? "" : isMoney(kind) ? Number(costUsd(inForce.max)) : inForce.max;
  return (
    <div class="forms">
      <form method="post" action={actionOf("limit")}>
        <FormToken value={formToken} />
        <input type="hidden" name="kind" value={kind} />
        <input name="max" value={value} inputmode="decimal" size={9} required aria-label={`New limit: ${words}`} />{" "}
        <button type="submit" class="quiet">Set</button>
      </form>
      {isOwn
        ? (
          <Confirm id={`clear-${kind}`} label="Remove" action={actionOf("limit-clear")} formToken={formToken} fields={{ kind }}>
            <p>{`Remove the limit of ${words}? A default holds then, if there is one.`}</p>
          </Confirm>
        )
        : null}
    </div>
  );
}

/** Sets the limit that the form names. Throws `AdminRefusal`. */
export async function setLimit({ form, by, deps }: FormSent, place: LimitPlace): Promise<void> {
  const kind = kindIn(form);
  const text = (form.max ?? "").trim().replace(/^\$/, "").replaceAll(/[,\s_]/g, "");
  const max = isMoney(kind) || !/^\d+$/.test(text) ? text : Number(text);
  await changeQuota({ [KEYS[kind]]: max }, place, { ...deps, by });
}

/** Removes it. Throws `AdminRefusal`. */
export async function clearLimit({ form, by, deps }: FormSent, place: LimitPlace): Promise<void> {
  await changeQuota({ [KEYS[kindIn(form)]]: null }, place, { ...deps, by });
}

function kindIn({ kind = "" }: FormSent["form"]): LimitKind {
  const found = ALL_KINDS.find((one) => one === kind);
  if (found !== undefined) return found;
  throw new AdminRefusal(
    "invalid_request_error",
    `Cannot read kind as one of ${ALL_KINDS.join(", ")}: current value is ${shown(kind)}`,
  );
}

/** What ended calls used; null if the kind counts calls that run. */
function endedIn(kind: LimitKind, spending: Spending): number | null {
  const { counts, period } = LIMIT_KINDS[kind];
  if (period !== "day" && period !== "month") return null;
  const totals: UsageTotals = period === "day" ? spending.today : spending.month;
  return Number({ requests: totals.requestCount, cost: totals.cost, tokens: tokensOf(totals) }[counts]);
}

function isOwn(all: readonly Limit[], place: LimitPlace, kind: LimitKind): boolean {
  return all.some((limit) =>
    limit.kind === kind && limit.scope === place.scope && limit.workspaceId === place.workspaceId && limit.id === place.id
  );
}

export function amountText(kind: LimitKind, value: number): string {
  return isMoney(kind) ? dollarsText(value) : wholeText(value);
}

function exact(kind: LimitKind, value: number): string | number {
  return isMoney(kind) ? costUsd(value) : value;
}
