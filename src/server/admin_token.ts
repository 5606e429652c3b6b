import { join } from "node:path";

/** In the data directory: commands on the same machine read the admin token there. */
export const ADMIN_TOKEN_FILE = "admin-token";

const TOKEN_BYTES = 32;

/** Reads the admin token from the data directory, or makes one that only its owner can read. */
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
