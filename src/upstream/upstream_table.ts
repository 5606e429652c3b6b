import { Fault } from "../domain/fault.ts";
import type { Readiness } from "../domain/operations.ts";
import type { Provider } from "../domain/provider.ts";
import type { Credential, Payment, Upstream, UpstreamAsked, UpstreamConfig, Upstreams } from "../domain/upstream.ts";
import { CredentialPool, type CredentialPoolOptions, type CredentialState } from "./credential_pool.ts";
import { mayAskFor } from "./models.ts";
import { paymentOf, type PaymentParts } from "./payment.ts";

export interface UpstreamTableOptions
  extends
    Pick<CredentialPoolOptions, "patienceMs" | "now" | "elapsed" | "observe">,
    Pick<Upstream, "idleMs" | "drainAfterLeftMs" | "userAgent">,
    PaymentParts {
  /** In the order of the settings, at least one. Another list replaces the one before. */
  readonly all: () => readonly UpstreamConfig[];
  /** By the name of `UpstreamConfig.dialect`. */
  readonly dialects: Readonly<Record<string, Provider>>;
  /** Resolves to the status of a request that costs nothing. */
  readonly check: (upstream: Upstream, credential: Credential) => Promise<number | null>;
}

/** An upstream as it runs, and the settings that it was made of. */
interface Running {
  readonly config: UpstreamConfig;
  readonly upstream: Upstream;
  readonly pool: CredentialPool;
}

/** The upstreams of one process. What they have learned of their credentials outlives a reload. */
export class UpstreamTable implements Upstreams {
  readonly #options: UpstreamTableOptions;
  /** What a payment has minted ends with its credential, at the next reload. */
  readonly #payments = new WeakMap<Credential, Payment>();
  #known: readonly UpstreamConfig[] = [];
  #running: readonly Running[] = [];
  #dialects: readonly Provider[] = [];

  constructor(options: UpstreamTableOptions) {
    this.#options = options;
    this.#all();
  }

  dialects(): readonly Provider[] {
    this.#all();
    return this.#dialects;
  }

  forCall(dialect: Provider, { workspaceId, model, heldBy }: UpstreamAsked): Upstream {
    const all = this.#all();
    const caller = { workspaceId, model };
    const maySend = ({ upstream }: Running) => upstream.provider === dialect && upstream.mayUse(caller);
    const holder = heldBy === null ? undefined : all.find((one) => one.pool.has(heldBy) && maySend(one));
    const found = holder ?? all.find(maySend);
    if (found !== undefined) return found.upstream;
    throw new Fault(
      "model_not_allowed",
      model === null
        ? "This workspace may not use this API through the proxy. Ask the proxy's operator."
        : model === ""
        ? "The request names no model that can be read, and this workspace may use some models only. Name one."
        : "This proxy offers the model that was asked for to no call of this workspace. Choose another model, or ask the " +
          "proxy's operator.",
    );
  }

  ofCall({ upstream: name, provider, credentialId }: Parameters<Upstreams["ofCall"]>[0]): Upstream {
    const all = this.#all();
    const ofSeller = all.filter(({ config }) => config.seller === provider);
    const holder = credentialId === null ? undefined : ofSeller.find(({ pool }) => pool.has(credentialId));
    return (holder ?? all.find(({ config }) => config.name === name) ?? ofSeller[0] ?? all[0]!).upstream;
  }

  /** For metrics: of all upstreams together. */
  get state(): CredentialState {
    const states = this.#all().map(({ pool }) => pool.state);
    const merged = <T>(part: (state: CredentialState) => ReadonlyMap<string, T>) =>
      new Map(states.flatMap((state) => [...part(state)]));
    return {
      waiting: states.reduce((sum, { waiting }) => sum + waiting, 0),
      holds: states.reduce((sum, { holds }) => sum + holds, 0),
      isOut: merged(({ isOut }) => isOut),
      outages: merged(({ outages }) => outages),
      rooms: merged(({ rooms }) => rooms),
    };
  }

  /**
   * The default upstream decides; trouble of another is a degradation. Its reason counts the
   * credentials of all upstreams: it names none, because sandboxes can read it.
   */
  readiness(): Readiness {
    const each = this.#all().map(({ pool }) => pool.readiness());
    const first = each[0]!;
    if (first.status === "unavailable" || each.every(({ status }) => status === "ok")) return first;
    const isOut = [...this.state.isOut.values()];
    const reason = `${isOut.filter(Boolean).length} of ${isOut.length} upstream credentials are out of use`;
    return { status: "degraded", reason };
  }

  #all(): readonly Running[] {
    const configs = this.#options.all();
    if (configs === this.#known) return this.#running;
    const before = new Map(this.#running.map((running) => [running.config.name, running]));
    this.#running = configs.map((config) => this.#runningOf(config, before.get(config.name) ?? null));
    this.#dialects = [...new Set(this.#running.map(({ upstream }) => upstream.provider))];
    this.#known = configs;
    return this.#running;
  }

  #runningOf(config: UpstreamConfig, before: Running | null): Running {
    const { dialects, idleMs, drainAfterLeftMs, userAgent, check, ...options } = this.#options;
    const { name, seller, place, readOnMs, isStrict } = config;
    const provider = dialects[config.dialect]!;
    const isSame = before !== null && before.upstream.provider === provider;
    const upstreamNow = () => this.#all().find((one) => one.pool === pool)?.upstream ?? upstream;
    const pool: CredentialPool = isSame ? before.pool : new CredentialPool({
      ...options,
      waitMsOf: provider.waitMsOf,
      roomOf: provider.roomOf,
      all: this.#credentialsOf(config),
      check: (credential) => check(upstreamNow(), credential),
    });
    const upstream: Upstream = {
      ...{ name, provider, seller, place, readOnMs, isStrict, idleMs, drainAfterLeftMs, userAgent },
      credentials: pool,
      paymentOf: (credential) => this.#paymentOf(credential),
      mayUse: (caller) => mayAskFor(caller, config),
    };
    return { config, upstream, pool };
  }

  /** An upstream that a reload has removed keeps its last ones, for the calls that still use it. */
  #credentialsOf({ name, dialect, credentials }: UpstreamConfig): () => readonly Credential[] {
    let last = credentials;
    const isSame = (config: UpstreamConfig) => config.name === name && config.dialect === dialect;
    return () => last = this.#options.all().find(isSame)?.credentials ?? last;
  }

  #paymentOf(credential: Credential): Payment {
    const kept = this.#payments.get(credential);
    if (kept !== undefined) return kept;
    const payment = paymentOf(credential, this.#options);
    this.#payments.set(credential, payment);
    return payment;
  }
}
