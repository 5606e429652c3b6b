import { Fault } from "../domain/fault.ts";
import type { Observe } from "../domain/observe.ts";
import type { Sandbox, SandboxInfo, SandboxOf } from "../domain/sandbox.ts";
import { LOOK_UP_LIMITS, LookupLimiter, NotAsked } from "./lookup_limiter.ts";
import { sha256OfToken } from "./token_hash.ts";
import { validateProxyToken } from "./validate_proxy_token.ts";
import { type Answer, TokenCache } from "./token_cache.ts";

export interface AgentserverOptions {
  /** Base URL of the control plane; a path prefix and a trailing slash are fine. */
  readonly url: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly observe: Pick<Observe, "lookedUp" | "note">;
  /** How long one look-up may take, its wait for a turn included. */
  readonly timeoutMs: number;
  /** For how long after it was last vouched for a token may be used while the control plane is away. */
  readonly graceMs: number;
}

export const AGENTSERVER_DEFAULTS = { timeoutMs: 5_000, graceMs: 5 * 60_000 } as const;

/** Statuses of a sandbox that may call. */
const ACTIVE: ReadonlySet<string> = new Set(["running", "creating"]);
/** While the control plane is away, a call that grace can carry waits so long for a look-up, to hear of a revocation. */
const PATIENCE_MS = 250;

/**
 * The control plane as the authority on proxy tokens, with caches, single flight and grace (see `TokenCache`).
 * Observes each look-up by its outcome, and each call that asked nobody as `cached` or `grace`.
 */
export function agentserverSandboxOf(options: AgentserverOptions): SandboxOf {
  const agentserver = new Agentserver(options);
  return (token) => agentserver.sandboxOf(token);
}

interface Flight {
  readonly startedAt: number;
  readonly landed: Promise<Answer | Outage>;
}

class Outage {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

class Agentserver {
  readonly #options: AgentserverOptions;
  readonly #vouched: TokenCache;
  readonly #lookUps: LookupLimiter;
  readonly #flights = new Map<string, Flight>();
  /** The latest look-up that ended had no answer. */
  #isAway = false;

  constructor(options: AgentserverOptions) {
    this.#options = options;
    this.#vouched = new TokenCache(options);
    this.#lookUps = new LookupLimiter({ ...LOOK_UP_LIMITS, timeoutMs: options.timeoutMs });
  }

  async sandboxOf(token: string): Promise<Sandbox> {
    const { now, observe } = this.#options;
    const hash = sha256OfToken(token);
    const at = now();
    const fresh = this.#vouched.fresh(hash, at);
    if (fresh !== null) {
      observe.lookedUp("agentserver", "cached");
      return allowed(fresh);
    }
    if (this.#vouched.hasJustFailed(hash, at)) {
      const graced = this.#grace(hash);
      if (graced !== null) return graced;
    }
    const joined = this.#flights.get(hash);
    const answer = await this.#landed(hash, joined ?? this.#takeOff(hash, token));
    if (answer instanceof Outage) {
      const graced = this.#grace(hash);
      if (graced !== null) return graced;
      throw new Fault("authority_unavailable", "the proxy token cannot be checked at the moment", {
        cause: answer.cause,
        sandbox: this.#vouched.lastOwner(hash),
      });
    }
    if (joined !== undefined) observe.lookedUp("agentserver", "cached");
    return allowed(answer);
  }

  #grace(hash: string): Sandbox | null {
    const graced = this.#vouched.graced(hash, this.#options.now());
    if (graced !== null) this.#options.observe.lookedUp("agentserver", "grace");
    return graced;
  }

  #takeOff(hash: string, token: string): Flight {
    const landed = this.#lookUp(hash, token).finally(() => this.#flights.delete(hash));
    const flight = { startedAt: this.#options.now(), landed };
    this.#flights.set(hash, flight);
    return flight;
  }

  /** The flight's answer; an outage before it lands, where grace can carry the call and nobody has been there lately. */
  async #landed(hash: string, flight: Flight): Promise<Answer | Outage> {
    const at = this.#options.now();
    if (!this.#isAway || this.#vouched.graced(hash, at) === null) return await flight.landed;
    const patienceMs = Math.max(0, flight.startedAt + PATIENCE_MS - at);
    const impatient = Promise.withResolvers<Outage>();
    const timer = setTimeout(() => impatient.resolve(new Outage("no answer yet")), patienceMs);
    return await Promise.race([flight.landed, impatient.promise]).finally(() => clearTimeout(timer));
  }

  /** Never rejects, so that a flight which nobody waits for any more is harmless. */
  async #lookUp(hash: string, token: string): Promise<Answer | Outage> {
    const { url, fetch, now, observe } = this.#options;
    try {
      const info = await this.#lookUps.run((signal) => validateProxyToken(token, { url, fetch, signal }));
      const answer = answerOf(info);
      this.#vouched.answered(hash, { answer, at: now() });
      observe.lookedUp("agentserver", answer === "unknown" ? "unknown" : "known");
      if (this.#isAway) observe.note("info", "the control plane answers again");
      this.#isAway = false;
      return answer;
    } catch (cause) {
      this.#vouched.failed(hash, now());
      observe.lookedUp("agentserver", "unavailable");
      if (!(cause instanceof NotAsked)) this.#away(cause);
      return new Outage(cause);
    }
  }

  #away(cause: unknown): void {
    if (this.#isAway) return;
    this.#isAway = true;
    const { observe, graceMs } = this.#options;
    observe.note("warn", "the control plane cannot be asked: tokens it has vouched for are accepted for the grace period", {
      cause: cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause),
      graceMs,
    });
  }
}

function answerOf(info: SandboxInfo | null): Answer {
  if (info === null) return "unknown";
  const sandbox = { sandboxId: info.sandbox_id, workspaceId: info.workspace_id, tokenId: null };
  return { sandbox, isActive: ACTIVE.has(info.status) };
}

function allowed(answer: Answer): Sandbox {
  if (answer === "unknown") throw new Fault("unauthenticated", "invalid proxy token");
  const { sandbox, isActive } = answer;
  if (!isActive) throw new Fault("sandbox_inactive", "sandbox not active", { sandbox });
  return sandbox;
}
