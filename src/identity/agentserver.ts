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
export function agentserverSandboxOf({ url, fetch, now, observe, timeoutMs, graceMs }: AgentserverOptions): SandboxOf {
  const cache = new TokenCache<Answer>({
    isGood: (answer) => answer !== "unknown" && answer.isActive,
    goodMs: POSITIVE_MS,
    badMs: NEGATIVE_MS,
  });
  const limiter = new LookupLimiter({ ...LOOKUP_LIMITS, timeoutMs });
  /** Never rejects, so that a lookup whose callers have all left is harmless. */
  const flights = new SingleFlight<string, Answer | Outage>();
  /** The latest lookup that ended had no answer. */
  let isDown = false;

  function inGrace(hash: string): CachedAnswer<Answer> | null {
    const good = cache.good(hash);
    return good !== null && now() - good.at < graceMs ? good : null;
  }

  function allowedByGrace(hash: string, cause: unknown): Sandbox {
    const graced = inGrace(hash);
    if (graced === null) {
      const last = cache.latest(hash) ?? "unknown";
      const sandbox = last === "unknown" ? null : last.sandbox;
      throw unchecked(cause, sandbox);
    }
    observe.lookedUp("agentserver", "grace");
    return allowed(graced.answer);
  }

  /** While the control plane is down, grace waits only `PATIENCE_MS` from the lookup's start. */
  async function patiently(hash: string, flight: Promise<Answer | Outage>): Promise<Answer | Outage> {
    const graced = isDown ? inGrace(hash) : null;
    if (graced === null) return await flight;
    const at = now();
    const left = (graced.lookedUpAt ?? at) + PATIENCE_MS - at;
    return await settlesWithin(flight, Math.max(0, left)) ? await flight : new Outage("no answer yet");
  }

  async function lookUp(hash: string, token: string): Promise<Answer | Outage> {
    const good = cache.good(hash);
    if (good !== null) good.lookedUpAt = now();
    try {
      const info = await limiter.run((signal) => validateProxyToken(token, { url, fetch, signal }));
      const answer: Answer = info === null ? "unknown" : {
        sandbox: { sandboxId: info.sandbox_id, workspaceId: info.workspace_id, tokenId: null },
        isActive: ACTIVE.has(info.status),
      };
      cache.answered(hash, answer, now());
      observe.lookedUp("agentserver", answer === "unknown" ? "unknown" : "known");
      if (isDown) observe.note("info", "the control plane answers again");
      isDown = false;
      return answer;
    } catch (cause) {
      const known = cache.good(hash);
      if (known !== null) known.failedAt = now();
      observe.lookedUp("agentserver", "unavailable");
      if (!(cause instanceof NotAsked)) noteDown(cause);
      return new Outage(cause);
    }
  }

  function noteDown(cause: unknown): void {
    if (isDown) return;
    isDown = true;
    const words = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    const message = "the control plane cannot be asked; tokens that it accepted stay valid for the grace period";
    observe.note("warn", message, { cause: words, graceMs });
  }

  /** For a call that runs, so it is observed only if it really asks, and grace is for others. */
  async function askAgain(token: string, maxAgeMs: number): Promise<Sandbox> {
    const hash = sha256OfToken(token);
    const at = now();
    const fresh = cache.fresh(hash, at);
    if (fresh !== null && at - fresh.at < maxAgeMs) return allowed(fresh.answer);
    const answer = await flights.run(hash, () => lookUp(hash, token));
    if (answer instanceof Outage) throw unchecked(answer.cause, null);
    return allowed(answer);
  }

  return async (token, again) => {
    if (again !== undefined) return await askAgain(token, again.maxAgeMs);
    const hash = sha256OfToken(token);
    const at = now();
    const fresh = cache.fresh(hash, at);
    if (fresh !== null) {
      observe.lookedUp("agentserver", "cached");
      return allowed(fresh.answer);
    }
    const failedAt = inGrace(hash)?.failedAt;
    if (failedAt !== undefined && at - failedAt < FAILURE_MS) return allowedByGrace(hash, null);
    const joined = flights.has(hash);
    const answer = await patiently(hash, flights.run(hash, () => lookUp(hash, token)));
    if (answer instanceof Outage) return allowedByGrace(hash, answer.cause);
    if (joined) observe.lookedUp("agentserver", "cached");
    return allowed(answer);
  };
}

function unchecked(cause: unknown, sandbox: Sandbox | null): Fault {
  return new Fault("authority_unavailable", "the proxy token cannot be checked at the moment", { cause, sandbox });
}

function allowed(answer: Answer): Sandbox {
  if (answer === "unknown") throw new Fault("unauthenticated", "invalid proxy token");
  const { sandbox, isActive } = answer;
  if (!isActive) throw new Fault("sandbox_inactive", "sandbox not active", { sandbox });
  return sandbox;
}
