import type { AgentNames, Client, Mark, Told } from "../domain/client.ts";

/** What tells which client sent a call. */
export interface Sender {
  readonly headers: Pick<Headers, "get">;
  /** The body's user id; null if it has no id, undefined if the body has not been read. */
  readonly userId: string | null | undefined;
  /** What the client says of itself in the body, in an object of its own. */
  readonly metadata?: Readonly<Record<string, unknown>> | null;
}

/**
 * The client's name by the table; otherwise the product that its user agent begins with, or null if
 * it sends none.
 */
export function clientOf(sender: Sender, clients: readonly Client[]): string | null {
  const userAgent = sender.headers.get("user-agent");
  if (userAgent === null || userAgent === "") return null;
  return knownClient(sender, clients)?.name ?? /^[^\s/]+/.exec(userAgent)?.[0] ?? userAgent;
}

/** A session as its client names it, and that of the agent that started it. */
export interface NamedSession {
  readonly session: string;
  readonly source: string;
  /** Null: its agent is not a sub-agent. */
  readonly parent: string | null;
}

/**
 * The sessions that are named, in the order of the table, unchecked. A header that several clients
 * share belongs to the first of them, unless the sender is known.
 */
export function namedSessions(sender: Sender, clients: readonly Client[]): readonly NamedSession[] {
  const { headers, userId } = sender;
  const known = knownClient(sender, clients);
  const agent = known?.isLibrary ? null : known;
  const asked = new Set<string>();
  const found: NamedSession[] = [];
  const add = (session: string | null, owner: Client, told: Told | null = null) => {
    if (session === null || session === "") return;
    const client = agent ?? owner;
    const header = client.parent === undefined ? null : headers.get(client.parent);
    const parent = told === null ? header : told.parent;
    found.push({ session, source: client.name, parent: parent === "" || parent === session ? null : parent });
  };
  for (const client of clients) {
    const told = toldBy(sender, client, agent);
    if (told !== null) add(told.session, client, told);
    for (const header of client.sessions ?? []) {
      if (!asked.has(header)) add(headers.get(header), client);
      asked.add(header);
    }
    if (typeof userId === "string") add(client.sessionInUserId?.(userId) ?? null, client);
  }
  return found;
}

/** The agents that are named; a sub-agent that only a mark shows has no id. */
export function agentNames(sender: Sender, clients: readonly Client[]): AgentNames {
  const known = knownClient(sender, clients);
  const told = clients.map((client) => toldBy(sender, client, known?.isLibrary ? null : known)?.agent);
  const named = (column: keyof AgentNames) => {
    const values = clients.map(({ agents }, n) =>
      agents?.[column] === undefined ? told[n]?.[column] ?? null : sender.headers.get(agents[column])
    );
    return values.find((value) => value !== null && value !== "") ?? null;
  };
  const mark = known?.subAgent;
  return {
    agentId: named("agentId"),
    parentAgentId: named("parentAgentId"),
    agentType: named("agentType"),
    requestClass: named("requestClass") ?? (mark !== undefined && isThere(mark, sender) ? "subagent" : null),
    promptId: named("promptId"),
  };
}

/** Null: it has no way of its own, or another client is known to have sent the call. */
function toldBy({ headers, metadata }: Sender, client: Client, agent: Client | null): Told | null {
  if (client.told === undefined || (agent !== null && agent !== client)) return null;
  return client.told({ header: (name) => headers.get(name), metadata: metadata ?? {} });
}

function knownClient(sender: Sender, clients: readonly Client[]): Client | null {
  const userAgent = sender.headers.get("user-agent") ?? "";
  const fits = ({ userAgent: product, marks = [] }: Client) =>
    product?.test(userAgent) && (marks.length === 0 || marks.some((mark) => isThere(mark, sender)));
  return clients.find(fits) ?? null;
}

function isThere(mark: Mark, { headers, userId }: Sender): boolean {
  if ("body" in mark) return mark.body === "names_user" ? typeof userId === "string" : userId !== undefined;
  const value = headers.get(mark.header);
  return value !== null && (mark.value?.test(value) ?? true);
}
