import { generateTraceId } from "../domain/ids.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import { MAX_TRACE_ID_LENGTH, type Trace } from "../domain/trace.ts";
import { tokenOf } from "./authenticate.ts";
import { unlessToken } from "./discretion.ts";
import type { World } from "./world.ts";

/** Where a trace id was found. */
export interface TraceClue {
  readonly id: string;
  readonly source: string;
}

/** The session that this call belongs to: the one that its client names, else a new one. */
export function traceOf(
  headers: Headers,
  options: { readonly userId: string | null; readonly sandbox: Sandbox; readonly world: World },
): Trace {
  const { sandbox, world } = options;
  const clue = traceClueOf(headers, options) ?? { id: generateTraceId(world.newId), source: "auto" };
  const now = world.now();
  return { ...clue, sandboxId: sandbox.sandboxId, workspaceId: sandbox.workspaceId, createdAt: now, updatedAt: now };
}

/** What `extractTraceId` finds in a call that has been authenticated. */
export function traceClueOf(
  headers: Headers,
  { userId, world }: { readonly userId: string | null; readonly world: World },
): TraceClue | null {
  return extractTraceId(headers, { userId, traceHeader: world.traceHeader, token: tokenOf(headers) });
}

/**
 * The trace id that the client named, first that is present: the trace header as given, Claude Code's session, another
 * agent's session. An id that is not 1 to 128 visible ASCII characters, or that holds the proxy token, is ignored, and so no
 * other is looked for there.
 */
export function extractTraceId(
  headers: Headers,
  options: { readonly userId: string | null; readonly traceHeader: string; readonly token: string },
): TraceClue | null {
  function traceClue(source: string, id: string | null): TraceClue | null {
    const kept = unlessToken(id, options.token);
    return kept !== null && kept.length <= MAX_TRACE_ID_LENGTH && /^[\x21-\x7e]+$/.test(kept) ? { id: kept, source } : null;
  }
  const named = traceClue("header", headers.get(options.traceHeader));
  if (named !== null) return named;
  for (const [header, source] of SESSION_HEADERS) {
    const clue = traceClue(source, sessionTraceId(headers.get(header)));
    if (clue !== null) return clue;
    if (header === CLAUDE_CODE_SESSION_HEADER) {
      const inBody = traceClue("claude-code", sessionTraceId(claudeCodeSession(options.userId)));
      if (inBody !== null) return inBody;
    }
  }
  return null;
}

/** Header to source, in the order of asking: a new agent is one row. */
const CLAUDE_CODE_SESSION_HEADER = "x-claude-code-session-id";
const SESSION_HEADERS: readonly (readonly [header: string, source: string])[] = [
  [CLAUDE_CODE_SESSION_HEADER, "claude-code"],
  ["x-opencode-session", "opencode"],
  ["x-session-affinity", "opencode"],
  ["x-session-id", "opencode"],
  ["session-id", "codex"],
  ["session_id", "codex"],
  ["thread-id", "codex"],
  ["x-mux-workspace-id", "mux"],
  ["x-client-session-id", "copilot-cli"],
  ["x-kilocode-taskid", "kilo"],
  ["x-coder-chat-id", "coder"],
];

/** Claude Code to 2.1.77 ends `metadata.user_id` so; later ones write JSON with a `session_id`. */
const USER_ID_SESSION = /_session_([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$/;

function claudeCodeSession(userId: string | null): string | null {
  if (userId === null) return null;
  const plain = USER_ID_SESSION.exec(userId)?.[1];
  if (plain !== undefined) return plain;
  if (!userId.startsWith("{")) return null;
  try {
    const session = (JSON.parse(userId) as { readonly session_id?: unknown }).session_id;
    return typeof session === "string" ? session : null;
  } catch {
    return null;
  }
}

function sessionTraceId(session: string | null): string | null {
  return session === null || session === "" ? null : `at-${session}`;
}
