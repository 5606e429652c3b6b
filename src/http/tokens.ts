import { z } from "zod";
import type { Actor } from "../domain/audit.ts";
import { type LocalToken, type TokenAdmin, tokenJson } from "../domain/tokens.ts";
import { AdminRefusal, readJsonBody, shown } from "./admin_refusal.ts";
import { filtersOf, rfc3339, RFC3339_WORDS } from "./admin_filters.ts";

export const TOKEN_FILTERS = ["workspace_id"] as const;

const MAX_BODY_BYTES = 16 * 1024;

interface NewTokenDeps {
  readonly tokens: TokenAdmin;
  readonly by: Actor;
  readonly now: () => number;
}

const id = z.string().regex(/^[\x21-\x7e]{1,128}$/);
export const wantedToken = z.strictObject({ workspaceId: id, sandboxId: id, expiresAt: rfc3339.nullable().default(null) });

/** For `Cannot read x as …`. */
const EXPECTS: Readonly<Record<string, string>> = {
  workspaceId: "an id of 1 to 128 visible ASCII characters",
  sandboxId: "an id of 1 to 128 visible ASCII characters",
  expiresAt: RFC3339_WORDS,
};

/**
 * `POST /internal/tokens` `{workspaceId, sandboxId, expiresAt?}`: 201 with the token and its
 * record.
 */
export async function createToken(request: Request, deps: NewTokenDeps): Promise<Response> {
  filtersOf(request.url, []);
  const { token, record } = await newToken(await readJsonBody(request, MAX_BODY_BYTES), deps);
  return Response.json({ token, ...tokenJson(record) }, { status: 201 });
}

/** Makes the token that the body asks for. Throws `AdminRefusal` 400. */
export async function newToken(body: unknown, { tokens, by, now }: NewTokenDeps): ReturnType<TokenAdmin["create"]> {
  const { data: wanted, error } = wantedToken.safeParse(body);
  if (wanted === undefined) throw new AdminRefusal("invalid_request_error", whyUnreadable(body, error.issues[0]!));
  if (wanted.expiresAt !== null && wanted.expiresAt <= now()) {
    throw new AdminRefusal("invalid_request_error", "Cannot take expiresAt: it is not in the future");
  }
  return await tokens.create(wanted, by);
}

/** `GET /internal/tokens`: `{"tokens": Token[]}`, newest first. */
export async function listTokens(request: Request, tokens: TokenAdmin): Promise<Response> {
  const { workspace_id } = filtersOf(request.url, TOKEN_FILTERS);
  return Response.json({ tokens: (await tokens.list(workspace_id)).map(tokenJson) });
}

/** `DELETE /internal/tokens/:id`: the revoked token, or 404. The first `revokedAt` stays. */
export async function revokeToken(
  request: Request,
  tokenId: string,
  deps: { readonly tokens: TokenAdmin; readonly by: Actor },
): Promise<Response> {
  filtersOf(request.url, []);
  return Response.json(tokenJson(await revoked(tokenId, deps)));
}

/** The token, which works no more. Throws `AdminRefusal` 404. */
export async function revoked(
  tokenId: string,
  { tokens, by }: { readonly tokens: TokenAdmin; readonly by: Actor },
): Promise<LocalToken> {
  const token = await tokens.revoke(tokenId, by);
  if (token !== null) return token;
  throw new AdminRefusal("not_found_error", `There is no token ${shown(tokenId)}`);
}

function whyUnreadable(body: unknown, issue: z.core.$ZodIssue): string {
  if (issue.code === "unrecognized_keys") return `Cannot read ${shown(issue.keys[0]!)} in the body: there is no such key`;
  const name = String(issue.path[0] ?? "");
  const expects = EXPECTS[name];
  if (expects === undefined) return "Cannot read the body as a JSON object with workspaceId, sandboxId and perhaps expiresAt";
  const value = (body as Readonly<Record<string, unknown>>)[name];
  const current = value === undefined ? "it is missing" : `current value is ${shownJson(value)}`;
  return `Cannot read ${name} as ${expects}: ${current}`;
}

function shownJson(value: unknown): string {
  return typeof value === "string" ? shown(value) : shown(JSON.stringify(value));
}
