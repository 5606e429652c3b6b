import type { LocalToken } from "../../../domain/tokens.ts";
import { AdminRefusal, shown } from "../../admin_refusal.ts";
import { newToken, revoked } from "../../tokens.ts";
import { Confirm } from "../confirm.tsx";
import { type Column, ListTable } from "../data_table.tsx";
import { Time } from "../figures.tsx";
import { FormToken } from "../layout.tsx";
import type { FormSent, PageAsked, PageBody } from "../page.ts";
import { type Place, placePath } from "./place.ts";

/** Of the table in the URL. */
export const TOKENS = "tokens";
const ROWS = 20;
const NEWEST_FIRST = { key: "created_at", isAscending: false };

export function TokenTable({ asked, place, tokens }: {
  readonly asked: PageAsked;
  readonly place: Place;
  readonly tokens: readonly LocalToken[];
}) {
  const { session, formToken, url } = asked;
  const isAdmin = session.role === "admin";
  const revoke: Column<LocalToken> = {
    key: "revoke",
    title: "Revoke",
    isUnsorted: true,
    value: () => null,
    cell: ({ id, revokedAt }) =>
      revokedAt === null
        ? (
          <Confirm id={`revoke-${id}`} label="Revoke" action={placePath(place, "revoke")} formToken={formToken} fields={{ id }}>
            <p>Revoke {id}? Calls with it are refused, and those in flight are cut. That cannot be undone.</p>
          </Confirm>
        )
        : "–",
  };
  const columns = tokenColumns(asked);
  return (
    <>
      <ListTable
        caption="Local tokens"
        url={url}
        name={TOKENS}
        columns={isAdmin ? [...columns, revoke] : columns}
        rows={tokens}
        size={ROWS}
        byDefault={NEWEST_FIRST}
        empty="There are no local tokens here. A control plane's tokens are not listed."
      />
      {isAdmin ? <NewTokenForm place={place} formToken={formToken} /> : null}
    </>
  );
}

export function tokenColumns({ zone, deps }: PageAsked): readonly Column<LocalToken>[] {
  const time = (at: number | null) => at === null ? <span class="missing">–</span> : <Time at={at} zone={zone} />;
  const text = (at: number | null) => at === null ? null : new Date(at).toISOString();
  return [
    { key: "id", title: "Token", value: ({ id }) => id, cell: ({ id }) => <span class="id">{id}</span> },
    {
      key: "sandbox",
      title: "Sandbox",
      value: ({ sandboxId }) => sandboxId,
      cell: (token) => <a class="id" href={placePath(token)}>{token.sandboxId}</a>,
    },
    { key: "created_at", title: "Made", value: ({ createdAt }) => text(createdAt), cell: ({ createdAt }) => time(createdAt) },
    { key: "expires_at", title: "Expires", value: ({ expiresAt }) => text(expiresAt), cell: ({ expiresAt }) => time(expiresAt) },
    { key: "revoked_at", title: "Revoked", value: ({ revokedAt }) => text(revokedAt), cell: ({ revokedAt }) => time(revokedAt) },
    { key: "state", title: "State", value: (token) => stateOf(token, deps.now()) },
  ];
}

function stateOf({ expiresAt, revokedAt }: LocalToken, now: number): string {
  if (revokedAt !== null) return "revoked";
  return expiresAt !== null && expiresAt <= now ? "expired" : "works";
}

function NewTokenForm({ place, formToken }: { readonly place: Place; readonly formToken: string }) {
  return (
    <form method="post" action={placePath(place, "token")} class="panel line">
      <FormToken value={formToken} />
      {place.sandboxId === null
        ? (
          <label>
            Sandbox <input name="sandbox" required maxlength={128} />
          </label>
        )
        : null}
      <label>
        Expires at the end of <input type="date" name="expires" /> <span class="hint">UTC; empty: never</span>
      </label>
      <button type="submit">Make a token</button>
    </form>
  );
}

/** The page that shows the new token. No other page, file or log ever has it. */
export async function makeToken({ form, by, deps }: FormSent, place: Place): Promise<PageBody> {
  const { workspaceId } = place;
  const sandboxId = place.sandboxId ?? (form.sandbox ?? "").trim();
  const wanted = { workspaceId, sandboxId, expiresAt: endOfDay(form.expires ?? "") };
  const { token, record } = await newToken(wanted, { ...deps, by });
  return {
    title: "A new token",
    body: (
      <div class="panel">
        <p>
          This is the token of <span class="id">{sandboxId}</span> in{" "}
          <span class="id">{workspaceId}</span>. It is shown only now: copy it into the sandbox's settings.
        </p>
        <p>
          <code class="secret">{token}</code>
        </p>
        <p class="hint">
          In lists it is <span class="id">{record.id}</span>. Do not reload this page: your browser would ask for another token.
        </p>
        <p>
          <a class="button" href={placePath(place)}>I have copied it</a>
        </p>
      </div>
    ),
  };
}

/** Throws `AdminRefusal` for an unknown token. */
export async function revokeIn({ form, by, deps }: FormSent): Promise<void> {
  await revoked(form.id ?? "", { ...deps, by });
}

/** RFC 3339, as `newToken` reads it; null: never. */
function endOfDay(date: string): string | null {
  if (date === "") return null;
  if (/^\d{4}-\d\d-\d\d$/.test(date)) return `${date}T23:59:59Z`;
  throw new AdminRefusal(
    "invalid_request_error",
    `Cannot read expires as a date such as 2026-01-31: current value is ${shown(date)}`,
  );
}
