/** What of a call its client is told by. */
export interface Sender {
  readonly headers: Pick<Headers, "get">;
  /** `metadata.user_id`; null if there is none, undefined if the body has not been read. */
  readonly userId: string | null | undefined;
}

/**
 * What a client says besides its user agent, if anything: a header (whose value matches), or
 * something in the body.
 */
type Mark = { readonly header: string; readonly value?: RegExp } | { readonly body: "user_id" | "was_read" };

/** The columns of a row that say which of a client's agents called. */
export interface AgentNames {
  readonly agentId: string | null;
  readonly parentAgentId: string | null;
  readonly agentType: string | null;
  readonly requestClass: string | null;
  readonly promptId: string | null;
}

interface Client {
  /** In the column `client`, and as the source of a trace. */
  readonly name: string;
  /** What its user agent begins with; null: only its session headers are known. */
  readonly userAgent: RegExp | null;
  /** One of these is there too. Empty: the user agent is enough. */
  readonly marks: readonly Mark[];
  /** Many programs are built on it, so it is nobody's name for a session. */
  readonly isLibrary: boolean;
  /** Headers that name its session, in the order of asking. */
  readonly sessions: readonly string[];
  /**
   * The header in which a sub-agent, whose session is its own, names the session that started it.
   */
  readonly parent: string | null;
  /** The headers that name its agents. */
  readonly agents: Partial<Readonly<Record<keyof AgentNames, string>>>;
  /** What its sub-agents' calls carry if no header names them. */
  readonly subAgent: Mark | null;
}

const PLAIN = { marks: [], isLibrary: false, sessions: [], parent: null, agents: {}, subAgent: null } as const;

/** It counts before those of all others, and so does the session in Claude Code's metadata. */
const CLAUDE_CODE_SESSION_HEADER = "x-claude-code-session-id";

/**
 * The agents that are told apart: a new one is one row. The first row that fits is the client's. A
 * session header that several share belongs to the first of them if the sender is none of them.
 */
const CLIENTS: readonly Client[] = [
  {
    ...PLAIN,
    name: "claude-code",
    userAgent: /^claude-(cli|code)\//,
    marks: [
      { header: CLAUDE_CODE_SESSION_HEADER },
      { header: "anthropic-beta", value: /(^|,)\s*claude-code-/ },
      { body: "user_id" },
    ],
    sessions: [CLAUDE_CODE_SESSION_HEADER],
    agents: {
      agentId: "x-claude-code-agent-id",
      parentAgentId: "x-claude-code-parent-agent-id",
      agentType: "x-claude-code-agent-type",
      requestClass: "x-claude-code-request-class",
      promptId: "x-claude-code-prompt-id",
    },
  },
  // It says that it is Claude Code to every host but Anthropic's own, and has none of Claude Code's
  // marks.
  { ...PLAIN, name: "qwen-code", userAgent: /^(claude-cli|QwenCode)\//, marks: [{ body: "was_read" }] },
  {
    ...PLAIN,
    name: "opencode",
    userAgent: /^opencode\//,
    sessions: ["x-opencode-session", "x-session-affinity", "x-session-id"],
    parent: "x-parent-session-id",
  },
  { ...PLAIN, name: "codex", userAgent: /^codex/, sessions: ["session-id", "session_id", "thread-id"] },
  { ...PLAIN, name: "mux", userAgent: null, sessions: ["x-mux-workspace-id"] },
  {
    ...PLAIN,
    name: "copilot-cli",
    userAgent: /^Anthropic\/JS /,
    marks: [{ header: "x-initiator" }, { header: "x-interaction-type" }],
    sessions: ["x-client-session-id"],
    // On the first call of a sub-agent only.
    subAgent: { header: "x-interaction-type", value: /^conversation-subagent$/ },
  },
  {
    ...PLAIN,
    name: "kilo",
    userAgent: /^kilo\//,
    sessions: ["x-session-affinity", "x-session-id", "x-kilocode-taskid"],
    parent: "x-parent-session-id",
  },
  { ...PLAIN, name: "coder", userAgent: null, sessions: ["x-coder-chat-id"] },
  { ...PLAIN, name: "pi", userAgent: /^pi\//, sessions: ["x-session-affinity"] },
  { ...PLAIN, name: "droid", userAgent: /^factory-cli\// },
  {
    ...PLAIN,
    name: "continue",
    userAgent: /^node-fetch(\/|$)/,
    marks: [{ header: "anthropic-beta", value: /(^|,)\s*prompt-caching-2024-07-31/ }],
  },
  // Cline is one of those who say no more than this, so nobody can tell it from other programs on
  // the same library.
  { ...PLAIN, name: "ai-sdk", userAgent: /^ai-sdk\//, isLibrary: true },
  { ...PLAIN, name: "anthropic-sdk-js", userAgent: /^Anthropic\/JS /, isLibrary: true },
  { ...PLAIN, name: "anthropic-sdk-python", userAgent: /^Anthropic\/Python /, isLibrary: true },
];

/**
 * The client's name by the table; otherwise the product that its user agent begins with, or null if
 * it sends none.
 */
export function clientOf(sender: Sender): string | null {
  const userAgent = sender.headers.get("user-agent");
  if (userAgent === null || userAgent === "") return null;
  return knownClient(sender)?.name ?? /^[^\s/]+/.exec(userAgent)?.[0] ?? userAgent;
}

/** A session as its client names it, and that of the agent that started it. */
export interface NamedSession {
  readonly session: string;
  readonly source: string;
  /** Null: it is no sub-agent's. */
  readonly parent: string | null;
}

/**
 * The sessions that are named, in the order of asking. What they are worth is for the caller to
 * judge.
 */
export function namedSessions(sender: Sender): readonly NamedSession[] {
  const { headers } = sender;
  const agent = agentOf(sender);
  const found: NamedSession[] = [];
  const add = (session: string | null, owner: Client) => {
    if (session === null || session === "") return;
    const client = agent ?? owner;
    const parent = client.parent === null ? null : headers.get(client.parent);
    found.push({ session, source: client.name, parent: parent === "" || parent === session ? null : parent });
  };
  for (const [header, owner] of SESSION_HEADERS) {
    add(headers.get(header), owner);
    if (header === CLAUDE_CODE_SESSION_HEADER) add(claudeCodeSession(sender.userId ?? null), owner);
  }
  return found;
}

/** The agents that the headers name; a sub-agent that only a mark tells of has no id. */
export function agentNames(sender: Sender): AgentNames {
  const { headers } = sender;
  const named = (column: keyof AgentNames) => {
    for (const { agents } of CLIENTS) {
      const value = agents[column] === undefined ? null : headers.get(agents[column]);
      if (value !== null && value !== "") return value;
    }
    return null;
  };
  const mark = knownClient(sender)?.subAgent ?? null;
  return {
    agentId: named("agentId"),
    parentAgentId: named("parentAgentId"),
    agentType: named("agentType"),
    requestClass: named("requestClass") ?? (mark !== null && isThere(mark, sender) ? "subagent" : null),
    promptId: named("promptId"),
  };
}

/** In the order of asking, whose a header is if the sender is not known. */
const SESSION_HEADERS = ownersOfSessionHeaders();

function ownersOfSessionHeaders(): ReadonlyMap<string, Client> {
  const owners = new Map<string, Client>();
  for (const client of CLIENTS) {
    for (const header of client.sessions) if (!owners.has(header)) owners.set(header, client);
  }
  return owners;
}

function knownClient(sender: Sender): Client | null {
  const userAgent = sender.headers.get("user-agent") ?? "";
  const fits = ({ userAgent: product, marks }: Client) =>
    product?.test(userAgent) && (marks.length === 0 || marks.some((mark) => isThere(mark, sender)));
  return CLIENTS.find(fits) ?? null;
}

function agentOf(sender: Sender): Client | null {
  const client = knownClient(sender);
  return client?.isLibrary ? null : client;
}

function isThere(mark: Mark, { headers, userId }: Sender): boolean {
  if ("body" in mark) return mark.body === "user_id" ? typeof userId === "string" : userId !== undefined;
  const value = headers.get(mark.header);
  return value !== null && (mark.value?.test(value) ?? true);
}

/** Claude Code to 2.1.77 ends `metadata.user_id` so; later ones write JSON with a `session_id`. */
const USER_ID_SESSION = /_session_([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$/;

function claudeCodeSession(userId: string | null): string | null {
  if (userId === null) return null;
  const plain = USER_ID_SESSION.exec(userId)?.[1];
  if (plain !== undefined) return plain;
  if (!userId.startsWith("{")) return null;
  try {
    const session = (JSON.parse(userId) as { readonly session_id?: unknown }).session_id;
    return typeof session === "string" && session !== "" ? session : null;
  } catch {
    return null;
  }
}
