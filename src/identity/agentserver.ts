import { settlesWithin } from "../async/deadline.ts";
import { SingleFlight } from "../async/single_flight.ts";
import { Fault } from "../domain/fault.ts";
import type { Observe } from "../domain/observe.ts";
import type { Sandbox, SandboxOf } from "../domain/sandbox.ts";
import { LOOKUP_LIMITS, LookupLimiter, NotAsked } from "./lookup_limiter.ts";
import { type CachedAnswer, sha256OfToken, TokenCache } from "./token_cache.ts";
import { validateProxyToken } from "./validate_proxy_token.ts";

export interface AgentserverOptions {
  /** Base URL of the control plane; a path prefix and a trailing slash are fine. */
  readonly url: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly observe: Pick<Observe, "lookedUp" | "note">;
  /** How long one lookup may take, its wait for a turn included. */
  readonly timeoutMs: number;
  /** How long an accepted token stays valid while the control plane is down. */
  readonly graceMs: number;
}

export const AGENTSERVER_DEFAULTS = { timeoutMs: 5_000, graceMs: 5 * 60_000 } as const;

/** Statuses of a sandbox that may call. */
const ACTIVE: ReadonlySet<string> = new Set(["running", "creating"]);
const POSITIVE_MS = 30_000;
const NEGATIVE_MS = 5_000;
/** After a failed lookup, a token in its grace period is not looked up again for this long. */
const FAILURE_MS = 1_000;
/**
 * While the control plane is down, a call in its grace period waits this long for a lookup, so that
 * a revocation still takes effect.
 */
const PATIENCE_MS = 250;

/** What the control plane says: the token's sandbox and whether it may call, or no such token. */
type Answer = { readonly sandbox: Sandbox; readonly isActive: boolean } | "unknown";

class Outage {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

/**
 * The control plane as the authority on proxy tokens, with a cache, one lookup at a time for each
 * token, and a grace period. Observes each lookup by its outcome. A call that needed no lookup of
 * its own is observed as `cached` or `grace`.
 */
export function agentserverSandboxOf(options: AgentserverOptions): SandboxOf {
  const agentserver = new Agentserver(options);
  return (token) => agentserver.sandboxOf(token);
}

class Agentserver {
  readonly #options: AgentserverOptions;
  readonly #cache = new TokenCache<Answer>({
    isGood: (answer) => answer !== "unknown" && answer.isActive,
    goodMs: POSITIVE_MS,
    badMs: NEGATIVE_MS,
  });
  readonly #limiter: LookupLimiter;
  /** Never rejects, so that a lookup whose callers have all left is harmless. */
  readonly #flights = new SingleFlight<string, Answer | Outage>();
  /** The latest lookup that ended had no answer. */
  #isDown = false;

  constructor(options: AgentserverOptions) {
    this.#options = options;
    this.#limiter = new LookupLimiter({ ...LOOKUP_LIMITS, timeoutMs: options.timeoutMs });
  }

  async sandboxOf(token: string): Promise<Sandbox> {
    const { now, observe } = this.#options;
    const hash = sha256OfToken(token);
    const at = now();
    const fresh = this.#cache.fresh(hash, at);
    if (fresh !== null) {
      observe.lookedUp("agentserver", "cached");
      return allowed(fresh.answer);
    }
    const failedAt = this.#inGrace(hash)?.failedAt;
    if (failedAt !== undefined && at - failedAt < FAILURE_MS) return this.#allowedByGrace(hash, null);
    const joined = this.#flights.has(hash);
    const answer = await this.#patiently(hash, this.#flights.run(hash, () => this.#lookUp(hash, token)));
    if (answer instanceof Outage) return this.#allowedByGrace(hash, answer.cause);
    if (joined) observe.lookedUp("agentserver", "cached");
    return allowed(answer);
  }

  #inGrace(hash: string): CachedAnswer<Answer> | null {
    const good = this.#cache.good(hash);
    return good !== null && this.#options.now() - good.at < this.#options.graceMs ? good : null;
  }

  #allowedByGrace(hash: string, cause: unknown): Sandbox {
    const graced = this.#inGrace(hash);
    if (graced === null) {
      const last = this.#cache.latest(hash) ?? "unknown";
      const sandbox = last === "unknown" ? null : last.sandbox;
      throw new Fault("authority_unavailable", "the proxy token cannot be checked at the moment", { cause, sandbox });
    }
    this.#options.observe.lookedUp("agentserver", "grace");
    return allowed(graced.answer);
  }

  /**
   * If the control plane is down and grace is left, waits `PATIENCE_MS` from the lookup's start.
   */
  async #patiently(hash: string, flight: Promise<Answer | Outage>): Promise<Answer | Outage> {
    const graced = this.#isDown ? this.#inGrace(hash) : null;
    if (graced === null) return await flight;
    const at = this.#options.now();
    const left = (graced.lookedUpAt ?? at) + PATIENCE_MS - at;
    return await settlesWithin(flight, Math.max(0, left)) ? await flight : new Outage("no answer yet");
  }

  async #lookUp(hash: string, token: string): Promise<Answer | Outage> {
    const { url, fetch, now, observe } = this.#options;
    const good = this.#cache.good(hash);
    if (good !== null) good.lookedUpAt = now();
    try {
      const info = await this.#limiter.run((signal) => validateProxyToken(token, { url, fetch, signal }));
      const answer: Answer = info === null ? "unknown" : {
        sandbox: { sandboxId: info.sandbox_id, workspaceId: info.workspace_id, tokenId: null },
        isActive: ACTIVE.has(info.status),
      };
      this.#cache.answered(hash, answer, { at: now() });
      observe.lookedUp("agentserver", answer === "unknown" ? "unknown" : "known");
      if (this.#isDown) observe.note("info", "the control plane answers again");
      this.#isDown = false;
      return answer;
    } catch (cause) {
      const known = this.#cache.good(hash);
      if (known !== null) known.failedAt = now();
      observe.lookedUp("agentserver", "unavailable");
      if (!(cause instanceof NotAsked)) this.#noteDown(cause);
      return new Outage(cause);
    }
  }

  #noteDown(cause: unknown): void {
    if (this.#isDown) return;
    this.#isDown = true;
    const { observe, graceMs } = this.#options;
    observe.note("warn", "cannot ask the control plane; tokens it accepted lately stay valid for the grace period", {
      cause: cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause),
      graceMs,
    });
  }
}

function allowed(answer: Answer): Sandbox {
  if (answer === "unknown") throw new Fault("unauthenticated", "invalid proxy token");
  const { sandbox, isActive } = answer;
  if (!isActive) throw new Fault("sandbox_inactive", "sandbox not active", { sandbox });
  return sandbox;
}
