import type { LocalToken } from "../../domain/tokens.ts";
import { localTokenOf, text } from "../row_decoders.ts";
import type { Ask } from "./connection.ts";

export async function createToken(ask: Ask, token: LocalToken, { sha256 }: { readonly sha256: string }): Promise<void> {
  const { id, workspaceId, sandboxId, createdAt, expiresAt, revokedAt } = token;
  await ask(CREATE, [id, sha256, workspaceId, sandboxId, createdAt, expiresAt, revokedAt]);
}

export async function findToken(
  ask: Ask,
  sha256: string,
): Promise<{ readonly token: LocalToken; readonly sha256: string } | null> {
  const [row] = await ask("SELECT * FROM tokens WHERE sha256 = $1", [sha256]);
  return row === undefined ? null : { token: localTokenOf(row), sha256: text(row, "sha256") };
}

export async function listTokens(ask: Ask, workspaceId: string | null): Promise<readonly LocalToken[]> {
  return (await ask(LIST, [workspaceId])).map(localTokenOf);
}

export async function revokeToken(ask: Ask, id: string, { at }: { readonly at: number }): Promise<LocalToken | null> {
  const [row] = await ask("UPDATE tokens SET revoked_at = coalesce(revoked_at, $1) WHERE id = $2 RETURNING *", [at, id]);
  return row === undefined ? null : localTokenOf(row);
}

const CREATE = `
  INSERT INTO tokens (id, sha256, workspace_id, sandbox_id, created_at, expires_at, revoked_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7)`;

const LIST = `
  SELECT *
  FROM tokens
  WHERE ($1::text IS NULL OR workspace_id = $1)
  ORDER BY created_at DESC, id DESC`;
