import { SingleFlight } from "../async/single_flight.ts";
import type { Observe } from "../domain/observe.ts";
import type { Readiness } from "../domain/operations.ts";
import type { Provider } from "../domain/provider.ts";
import type { CallToSend, Credential, Credentials } from "../domain/upstream.ts";
import { Holds, type HoldsOptions } from "./holds.ts";
import { preferred } from "./rendezvous.ts";
import { Rooms } from "./rooms.ts";

export interface CredentialPoolOptions extends HoldsOptions {
  /** In the order of the operator's file, at least one. Another list replaces the one before. */
  readonly all: () => readonly Credential[];
  readonly waitMsOf: Provider["waitMsOf"];
  readonly roomOf: Provider["roomOf"];
  /** Resolves to the status of a request that costs nothing; null: that does not tell. */
  readonly check: (credential: Credential) => Promise<number | null>;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  readonly observe: Pick<Observe, "note">;
}

export interface CredentialState {
  /** Calls that wait. */
  readonly waiting: number;
  /** Rate limits that are reached. */
  readonly holds: number;
  /** By the credential's id. */
  readonly isOut: ReadonlyMap<string, boolean>;
  /** Of those that are out, by the credential's id. */
  readonly outages: ReadonlyMap<string, { readonly why: keyof typeof REASONS; readonly retryInMs: number }>;
  /** By the credential's id and the kind of limit: the share left, the least of a minute. */
  readonly rooms: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

/** Why no session uses a credential. */
const REASONS = {
  /** The free request was refused too. It tells when the credential is good again. */
  refused: { firstMs: 5_000, mostMs: 300_000, words: "the upstream refuses it" },
  /** Only a call can tell whether there is credit again, and its client sees the error. */
  no_credit: { firstMs: 60_000, mostMs: 3_600_000, words: "its account has no credit" },
} as const;

interface Out {
  readonly why: keyof typeof REASONS;
  readonly backOffMs: number;
  /** When it is tried again, in `elapsed` time. */
  readonly retryAt: number;
  /** A call is on its way that tries whether there is credit. */
  readonly isTried: boolean;
}

/**
 * The credentials of one process: which are in use, and where the upstream asked to wait. With
 * several processes each learns for itself.
 */
export class CredentialPool implements Credentials {
  readonly #options: CredentialPoolOptions;
  readonly #holds: Holds;
  readonly #rooms: Rooms;
  readonly #checks = new SingleFlight<string, void>();
  readonly #out = new Map<string, Out>();
  #known: readonly Credential[];

  constructor(options: CredentialPoolOptions) {
    this.#options = options;
    this.#holds = new Holds(options);
    this.#rooms = new Rooms(options.elapsed);
    this.#known = options.all();
  }

  /** For metrics. */
  get state(): CredentialState {
    const ids = this.#all().map(({ id }) => id);
    const isOut = new Map(ids.map((id) => [id, this.#out.has(id)]));
    const now = this.#options.elapsed();
    const outages = new Map([...this.#out].map(([id, { why, retryAt }]) => [id, { why, retryInMs: retryAt - now }]));
    return { outages, waiting: this.#holds.waiting, holds: this.#holds.inForce, isOut, rooms: this.#rooms.of(ids) };
  }

  /** Names no credential: sandboxes can read it. */
  readiness(): Readiness {
    const all = this.#all();
    const out = all.flatMap(({ id }) => this.#out.get(id) ?? []);
    if (out.length === 0) return { status: "ok", reason: null };
    const isHopeless = out.length === all.length && out.every(({ retryAt }) => retryAt > this.#options.elapsed());
    const reason = `${out.length} of ${all.length} upstream credentials are out of use`;
    return { status: isHopeless ? "unavailable" : "degraded", reason };
  }

  async forCall(call: CallToSend, signal: AbortSignal): Promise<Credential> {
    const { elapsed, patienceMs } = this.#options;
    let [giveUpAt, turnOf]: [number, string | null] = [0, null];
    for (;;) {
      const credential = this.#choose(call);
      const { id } = credential;
      if (id === turnOf || !this.#holds.holds(id, call.requestedModel)) return this.#tried(credential);
      giveUpAt ||= elapsed() + patienceMs;
      turnOf = await this.#holds.turn({ id, giveUpAt }, call, signal) === "go" ? id : null;
    }
  }

  ofWorkspace(workspaceId: string): Credential {
    return this.#preferred(JSON.stringify([workspaceId]), () => true);
  }

  has(credentialId: string): boolean {
    return this.#all().some(({ id }) => id === credentialId);
  }

  holding(credentialId: string | null): Credential {
    const all = this.#all();
    return all.find(({ id }) => id === credentialId) ?? all[0]!;
  }

  answered(credential: Credential, head: Pick<Response, "status" | "headers">, model: string | null): void {
    const { waitMsOf, roomOf, now } = this.#options;
    this.#rooms.saw(credential.id, roomOf(head.headers));
    const waitMs = model === null ? 0 : waitMsOf(head, now());
    if (waitMs > 0) this.#holds.add(credential.id, model!, waitMs);
    if (head.status === 403 && this.#hasOthers(credential)) void this.#check(credential, false);
    if (this.#out.size > 0 && head.status < 300 && model !== null) this.#takeIn(credential);
  }

  async refused(credential: Credential): Promise<boolean> {
    if (!this.#hasOthers(credential)) return false;
    if (!this.#isPutOff(credential)) await this.#check(credential, true);
    return this.#out.has(credential.id) && this.#out.size < this.#all().length;
  }

  unsent({ id }: Credential): void {
    const out = this.#out.get(id);
    if (out?.isTried) this.#out.set(id, { ...out, isTried: false, retryAt: this.#options.elapsed() });
  }

  outOfCredit(credential: Credential): void {
    if (this.#hasOthers(credential)) this.#takeOut(credential, "no_credit");
  }

  #all(): readonly Credential[] {
    const all = this.#options.all();
    if (all !== this.#known) {
      // An operator who has paid, or has written another key, waits for no back-off.
      this.#known = all;
      this.#out.clear();
    }
    return all;
  }

  /** Whether it is one of several, and not one that a reload has replaced. */
  #hasOthers(credential: Credential): boolean {
    const all = this.#all();
    return all.length > 1 && all.includes(credential);
  }

  /** If the upstream asks for too long a wait of all, that of the shortest. */
  #choose({ workspaceId, traceId, requestedModel, heldBy }: CallToSend): Credential {
    if (heldBy !== null) return this.holding(heldBy);
    const waitMs = ({ id }: Credential) => this.#holds.remainingMs(id, requestedModel);
    const mostMs = this.#holds.isEmpty ? 0 : Math.max(this.#options.patienceMs, Math.min(...this.#all().map(waitMs)));
    return this.#preferred(JSON.stringify([workspaceId, traceId]), (each) => waitMs(each) <= mostMs);
  }

  /** If none is good, its own: that is how the proxy learns that it is good again. */
  #preferred(key: string, isOpen: (credential: Credential) => boolean): Credential {
    const all = this.#all();
    if (all.length === 1) return all[0]!;
    const isIn = (credential: Credential) => this.#isIn(credential);
    return preferred(all, key, (each) => isIn(each) && isOpen(each)) ?? preferred(all, key, isIn) ?? preferred(all, key)!;
  }

  /** Also true of one without credit whose time has come: a call has to try it. */
  #isIn(credential: Credential): boolean {
    const out = this.#out.get(credential.id);
    if (out === undefined) return true;
    if (this.#isPutOff(credential)) return false;
    if (out.why === "no_credit") return true;
    void this.#check(credential, true);
    return false;
  }

  #isPutOff({ id }: Credential): boolean {
    return (this.#out.get(id)?.retryAt ?? 0) > this.#options.elapsed();
  }

  /** Only one call tries a credential without credit; the others wait for what comes of it. */
  #tried(credential: Credential): Credential {
    const out = this.#out.get(credential.id);
    if (out?.why === "no_credit" && !this.#isPutOff(credential)) {
      this.#out.set(credential.id, { ...out, isTried: true, retryAt: this.#options.elapsed() + out.backOffMs });
    }
    return credential;
  }

  /**
   * A sandbox can send what the upstream refuses, so its refusal alone takes nothing out: a request
   * of the proxy's own must be refused too. If that does not tell, `isBad` does.
   */
  #check(credential: Credential, isBad: boolean): Promise<void> {
    return this.#checks.run(credential.id, async () => {
      const status = await this.#options.check(credential).catch(() => null);
      if (!this.#all().includes(credential)) return;
      if (status !== null && status < 300) {
        if (this.#out.get(credential.id)?.why === "refused") this.#takeIn(credential);
      } else if (isBad || status === 401 || status === 403) this.#takeOut(credential, "refused");
    });
  }

  /** Takes it out, or puts its next try off for longer if that try was due or has failed. */
  #takeOut(credential: Credential, reason: Out["why"]): void {
    const { id } = credential;
    const before = this.#out.get(id);
    // Without credit it stays so until a call shows otherwise: the free request cannot.
    const why = before?.why === "no_credit" ? "no_credit" : reason;
    if (before?.why === why && !before.isTried && this.#isPutOff(credential)) return;
    const { firstMs, mostMs, words } = REASONS[why];
    const backOffMs = before?.why === why ? Math.min(2 * before.backOffMs, mostMs) : firstMs;
    this.#out.set(id, { why, backOffMs, retryAt: this.#options.elapsed() + backOffMs, isTried: false });
    this.#holds.release(id);
    if (before !== undefined) return;
    const message = `an upstream credential is out of use, because ${words}: its sessions use the others`;
    this.#options.observe.note("error", message, { credentialId: id, why });
  }

  #takeIn({ id }: Credential): void {
    if (this.#out.delete(id)) this.#options.observe.note("info", "an upstream credential is in use again", { credentialId: id });
  }
}
