/** The columns of a row that say which of a client's agents called. */
export interface AgentNames {
  readonly agentId: string | null;
  readonly parentAgentId: string | null;
  readonly agentType: string | null;
  readonly requestClass: string | null;
  readonly promptId: string | null;
}

/**
 * What a client says besides its user agent: a header (whose value matches), or something in the
 * body.
 */
export type Mark = { readonly header: string; readonly value?: RegExp } | { readonly body: "names_user" | "was_read" };

/** What a request says besides its plain names: a header's value, and the body's own object. */
export interface Said {
  readonly header: (name: string) => string | null;
  /** As `RequestDialect.metadataOf` finds it: nothing in it is checked. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** What a client names in a way of its own. */
export interface Told {
  readonly session: string | null;
  /** The session that started this one, if it is a sub-agent's. */
  readonly parent: string | null;
  readonly agent: AgentNames;
}

/** A kind of agent, and how it is told from others. */
export interface Client {
  /** In the column `client`, and as the source of a trace. */
  readonly name: string;
  /** What its user agent begins with; null: only its session headers are known. */
  readonly userAgent: RegExp | null;
  /** At least one of these is there too. Empty: the user agent is enough. */
  readonly marks?: readonly Mark[];
  /** Many programs are built on it, so its name is not taken for a session's source. */
  readonly isLibrary?: true;
  /** Headers that name its session, in the order of asking. */
  readonly sessions?: readonly string[];
  /** Finds its session in the body's user id; asked after its headers. */
  readonly sessionInUserId?: (userId: string) => string | null;
  /** Asked before all these, unless another client is known to have sent the call. Never throws. */
  readonly told?: (said: Said) => Told;
  /** The header in which a sub-agent with its own session names the session that started it. */
  readonly parent?: string;
  /** The headers that name its agents. */
  readonly agents?: Partial<Readonly<Record<keyof AgentNames, string>>>;
  /** If a wait does not help soon, this status stops it; otherwise 429 does. */
  readonly stopStatus?: 403;
  /** It takes 429, 500 and the like anywhere in a refusal's body for a status, and asks again. */
  readonly readsText?: true;
  /** What its sub-agents' calls carry if no header names them. */
  readonly subAgent?: Mark;
}
