import type { DatabaseSync } from "node:sqlite";
import type { LocalToken, TokenCopies, Tokens } from "../../domain/tokens.ts";
import { readingBigInts } from "./connection.ts";
import type { Answers } from "./protocol.ts";
import { integer, localTokenOf } from "../row_decoders.ts";

/** The verbs about tokens on one connection, blocking. */
export function tokenAnswersOn(db: DatabaseSync): Pick<Answers, keyof Tokens | keyof TokenCopies> {
  return {
    createToken(token: LocalToken, sha256: string) {
      db.prepare(
        `INSERT INTO tokens (id, sha256, workspace_id, sandbox_id, created_at, expires_at, revoked_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
      ).run(token.id, sha256, token.workspaceId, token.sandboxId, token.createdAt, token.expiresAt, token.revokedAt);
    },

    findToken(sha256: string) {
      const row = readingBigInts(db, "SELECT * FROM tokens WHERE sha256 = ?").get(sha256);
      return row === undefined ? null : { token: localTokenOf(row), sha256: String(row.sha256) };
    },

    listTokens(workspaceId: string | null) {
      const where = workspaceId === null ? "" : "WHERE workspace_id = ?";
      return readingBigInts(db, `SELECT * FROM tokens ${where} ORDER BY created_at DESC, id DESC`)
        .all(...(workspaceId === null ? [] : [workspaceId])).map(localTokenOf);
    },

    revokeToken(id: string, at: number) {
      const row = readingBigInts(db, "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ? RETURNING *").get(
        at,
        id,
      );
      return row === undefined ? null : localTokenOf(row);
    },

    keepTokenCopy(token: LocalToken, sha256: string, { seenAt }) {
      db.prepare(
        `INSERT INTO token_copies (id, sha256, workspace_id, sandbox_id, created_at, expires_at, revoked_at, seen_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (sha256) DO UPDATE SET
           expires_at = excluded.expires_at,
           revoked_at = coalesce(revoked_at, excluded.revoked_at),
           seen_at = max(seen_at, excluded.seen_at)`,
      ).run(token.id, sha256, token.workspaceId, token.sandboxId, token.createdAt, token.expiresAt, token.revokedAt, seenAt);
    },

    findTokenCopy(sha256: string) {
      const row = readingBigInts(db, "SELECT * FROM token_copies WHERE sha256 = ?").get(sha256);
      return row === undefined ? null : { token: localTokenOf(row), sha256: String(row.sha256), seenAt: integer(row, "seen_at") };
    },

    revokeTokenCopy(id: string, at: number) {
      db.prepare("UPDATE token_copies SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?").run(at, id);
    },
  };
}
