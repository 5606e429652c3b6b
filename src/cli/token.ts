import { loadStorageConfig } from "../config/config.ts";
import { type Actor, stampOf } from "../domain/audit.ts";
import { type LocalToken, tokenJson } from "../domain/tokens.ts";
import { createLocalToken } from "../identity/local_tokens.ts";
import { adminClient, type OwnTokens } from "./admin_client.ts";
import { type CliSystem, CommandFailure, isoOf, userOf } from "./system.ts";
import { tableOf } from "./table.ts";

export interface TokenOptions {
  /** Works on the data directory of a proxy that does not run. */
  readonly offline?: true;
  readonly json?: true;
}

export interface CreateOptions extends TokenOptions {
  readonly workspace: string;
  readonly sandbox: string;
  /** Milliseconds from now; without it, or null, never. */
  readonly expires?: number | null;
}

/** `llmproxy token create`: only the token goes to stdout, so that a script can take it. */
export async function createTokenCommand(system: CliSystem, options: CreateOptions): Promise<void> {
  const { workspace, sandbox, expires = null, json } = options;
  const expiresAt = expires === null ? null : system.now() + expires;
  const wanted = { workspaceId: workspace, sandboxId: sandbox, expiresAt };
  const { token, record } = await administer(system, options, (admin) => admin.create(wanted));
  if (json) return system.stdout(`${JSON.stringify({ token, ...tokenJson(record) })}\n`);
  system.stdout(`${token}\n`);
  const end = record.expiresAt === null ? "never expires" : `expires ${isoOf(record.expiresAt)}`;
  system.stderr(
    `Token ${record.id} of sandbox ${record.sandboxId} in workspace ${record.workspaceId}; it ${end} and is shown only now.\n`,
  );
}

/** `llmproxy token list`. */
export async function listTokensCommand(
  system: CliSystem,
  options: TokenOptions & { readonly workspace?: string },
): Promise<void> {
  const tokens = await administer(system, options, (admin) => admin.list(options.workspace ?? null));
  if (options.json) return system.stdout(`${JSON.stringify({ tokens: tokens.map(tokenJson) })}\n`);
  const rows = tokens.map((token) => [
    token.id,
    token.workspaceId,
    token.sandboxId,
    isoOf(token.createdAt),
    token.expiresAt === null ? "never" : isoOf(token.expiresAt),
    stateOf(token, system.now()),
  ]);
  const headings = ["ID", "WORKSPACE", "SANDBOX", "CREATED", "EXPIRES", "STATE"];
  system.stdout(tableOf([headings, ...rows], { screen: system.screen() }));
}

/** `llmproxy token revoke ID`. */
export async function revokeTokenCommand(system: CliSystem, id: string, options: TokenOptions): Promise<void> {
  const revoked = await administer(system, options, (admin) => admin.revoke(id));
  if (revoked === null) throw new CommandFailure(`Cannot revoke the token ${JSON.stringify(id)}: there is no token with that id`);
  system.stdout(options.json ? `${JSON.stringify(tokenJson(revoked))}\n` : `revoked ${revoked.id}\n`);
}

async function administer<T>(
  system: CliSystem,
  { offline }: TokenOptions,
  work: (admin: OwnTokens) => Promise<T>,
): Promise<T> {
  if (!offline) return await work(adminClient(system));
  const { tokens, end } = await system.openOffline(loadStorageConfig(system.source));
  const by: Actor = { who: "offline", claimed: userOf(system.source), address: null };
  try {
    return await work({
      create: (wanted) => createLocalToken(wanted, { ...system, tokens, by }),
      list: (workspaceId) => tokens.listTokens(workspaceId),
      revoke: (id) => tokens.revokeToken(id, stampOf(by, system)),
    });
  } finally {
    await end();
  }
}

function stateOf({ expiresAt, revokedAt }: LocalToken, now: number): string {
  if (revokedAt !== null) return "revoked";
  return expiresAt !== null && expiresAt <= now ? "expired" : "good";
}
