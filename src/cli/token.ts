import type { LocalToken, TokenAdmin } from "../domain/tokens.ts";
import { tokenJson } from "../http/admin_json.ts";
import { createLocalToken } from "../identity/local_tokens.ts";
import { adminClient } from "./admin_client.ts";
import { columns } from "./columns.ts";
import { loadClientConfig, loadStorageConfig } from "../config/config.ts";
import { type CliSystem, CommandFailure, configSourceOf } from "./system.ts";

/** What `create`, `list` and `revoke` have in common. */
export interface TokenOptions {
  /** Work on the data directory of a proxy that does not run. */
  readonly offline: boolean;
  readonly json: boolean;
}

export interface CreateOptions extends TokenOptions {
  readonly workspace: string;
  readonly sandbox: string;
  /** Milliseconds from now; null: never. */
  readonly expires: number | null;
}

export interface ListOptions extends TokenOptions {
  /** Null: of all workspaces. */
  readonly workspace: string | null;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `llmproxy token create`: the token alone goes to stdout, so that a script can take it; what it is for to stderr. */
export async function createTokenCommand(
  system: CliSystem,
  { workspace, sandbox, expires, offline, json }: CreateOptions,
): Promise<void> {
  const expiresAt = expires === null ? null : system.now() + expires;
  const wish = { workspaceId: workspace, sandboxId: sandbox, expiresAt };
  const { token, kept } = await withDesk(system, offline, { work: (desk) => desk.create(wish) });
  if (json) return system.stdout(`${JSON.stringify({ token, ...tokenJson(kept) })}\n`);
  system.stdout(`${token}\n`);
  const end = kept.expiresAt === null ? "never expires" : `expires ${isoOf(kept.expiresAt)}`;
  system.stderr(
    `Token ${kept.id} of sandbox ${kept.sandboxId} in workspace ${kept.workspaceId}; it ${end} and is shown only now.\n`,
  );
}

/** `llmproxy token list`. */
export async function listTokensCommand(system: CliSystem, { workspace, offline, json }: ListOptions): Promise<void> {
  const tokens = await withDesk(system, offline, { work: (desk) => desk.list(workspace) });
  if (json) return system.stdout(`${JSON.stringify({ tokens: tokens.map(tokenJson) })}\n`);
  const rows = tokens.map((token) => [
    token.id,
    token.workspaceId,
    token.sandboxId,
    isoOf(token.createdAt),
    token.expiresAt === null ? "never" : isoOf(token.expiresAt),
    stateOf(token, system.now()),
  ]);
  system.stdout(columns([["ID", "WORKSPACE", "SANDBOX", "CREATED", "EXPIRES", "STATE"], ...rows]));
}

/** `llmproxy token revoke ID`. */
export async function revokeTokenCommand(system: CliSystem, id: string, { offline, json }: TokenOptions): Promise<void> {
  const revoked = await withDesk(system, offline, { work: (desk) => desk.revoke(id) });
  if (revoked === null) throw new CommandFailure(`Cannot revoke the token ${JSON.stringify(id)}: there is none of that id`);
  system.stdout(json ? `${JSON.stringify(tokenJson(revoked))}\n` : `revoked ${revoked.id}\n`);
}

/** Milliseconds of `90s`, `45m`, `12h` or `30d`; null for `never`; undefined where it is none of them. */
export function parseDuration(text: string): number | null | undefined {
  if (text === "never") return null;
  const match = /^([1-9]\d{0,4})([smhd])$/.exec(text);
  return match === null ? undefined : Number(match[1]) * UNIT_MS[match[2]!]!;
}

async function withDesk<T>(
  system: CliSystem,
  offline: boolean,
  { work }: { readonly work: (desk: TokenAdmin) => Promise<T> },
): Promise<T> {
  if (!offline) return await work(adminClient(loadClientConfig(configSourceOf(system)), system));
  const { tokens, end } = await system.openOffline(loadStorageConfig(configSourceOf(system)));
  try {
    return await work({
      create: (wish) => createLocalToken(wish, { ...system, tokens }),
      list: (workspaceId) => tokens.listTokens(workspaceId),
      revoke: (id) => tokens.revokeToken(id, system.now()),
    });
  } finally {
    await end();
  }
}

function stateOf({ expiresAt, revokedAt }: LocalToken, now: number): string {
  if (revokedAt !== null) return "revoked";
  return expiresAt !== null && expiresAt <= now ? "expired" : "good";
}

function isoOf(at: number): string {
  return new Date(at).toISOString();
}
