import { join } from "node:path";

/** Where the command line on the same machine finds the admin token. */
export const ADMIN_TOKEN_FILE = "admin-token";

const TOKEN_BYTES = 32;

/** The admin token that is kept in the data directory; made there, readable by its owner only, where there is none. */
export function readOrMakeAdminToken(dataDir: string, randomBytes: (count: number) => Uint8Array): string {
  const path = join(dataDir, ADMIN_TOKEN_FILE);
  try {
    const kept = Deno.readTextFileSync(path).trim();
    if (kept !== "") return kept;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const token = randomBytes(TOKEN_BYTES).toBase64({ alphabet: "base64url", omitPadding: true });
  Deno.writeTextFileSync(path, `${token}\n`, { mode: 0o600 });
  return token;
}
