import { OWNED_ID, type OwnedKind } from "../domain/owned.ts";
import type { Made } from "../domain/reading.ts";
import { StringsOfKeys } from "../wire/strings_of_keys.ts";
import { calledBy } from "./admit.ts";
import type { LiveCall } from "./live_call.ts";
import { belongingOf } from "./trace.ts";

/** What an answer is about. */
interface Subject {
  readonly kind: OwnedKind;
  /** As `Owning` has it. */
  readonly yields: Readonly<Record<string, OwnedKind>> | undefined;
}

/** These have items. */
const HOLDERS: readonly OwnedKind[] = ["response", "conversation"];
const MAX_ID_BYTES = 1024;
/**
 * As the upstream makes up ids of items. Answers repeat what clients wrote, such as metadata. With
 * a short id, one workspace could claim what another's client makes up.
 */
const ITEM_ID = /^[a-z]+_[0-9A-Za-z]{24,}$/;

/**
 * What the upstream made later for an own thing, such as the items of a response in the background
 * or the output file of a batch. An answer about the thing names it first, so it is claimed then.
 */
export class AnswerClaims {
  /** Top-level keys that are wanted. */
  readonly keys: readonly string[];
  readonly #yields: Readonly<Record<string, OwnedKind>>;
  readonly #items: StringsOfKeys | null;
  readonly #prefixes: readonly string[];
  readonly #call: LiveCall;

  private constructor({ kind, yields = {} }: Subject, call: LiveCall) {
    const { items, prefixes } = call.incoming.provider.owned;
    this.#prefixes = prefixes;
    this.keys = Object.keys(yields);
    this.#yields = yields;
    const hasItems = items !== undefined && HOLDERS.includes(kind);
    this.#items = hasItems ? new StringsOfKeys({ below: [], at: items.keys }, { maxValueBytes: MAX_ID_BYTES }) : null;
    this.#call = call;
  }

  /** Null if such an answer names nothing new. */
  static of(subject: Subject, call: LiveCall): AnswerClaims | null {
    const claims = new AnswerClaims(subject, call);
    return claims.#items === null && claims.keys.length === 0 ? null : claims;
  }

  look(chunk: Uint8Array): void {
    this.#items?.push(chunk);
  }

  /**
   * Commits who owns it; if the database is down, the next answer that names it does. Rejects with
   * `Fault` `ledger_unavailable` if the commit fails.
   */
  async claim(values: ReadonlyMap<string, unknown>): Promise<void> {
    const named = [
      ...Object.entries(this.#yields).map(([key, kind]) => ({ id: values.get(key), kind })),
      ...(this.#items?.take().at ?? []).filter((id) => this.#isItem(id)).map((id) => ({ id, kind: "item" as const })),
    ];
    const made = named.filter((one): one is Made => typeof one.id === "string" && OWNED_ID.test(one.id));
    if (made.length === 0) return;
    const { incoming, caller, upstream, credential, deps } = this.#call;
    const { workspaceId, sandboxId } = caller.sandbox;
    // One that another workspace owns must not be claimed on this machine only.
    const owners = await deps.owners.ownersOf(made.map(({ id }) => id)).catch(() => null);
    const fresh = owners === null ? [] : made.filter(({ id }) => !owners.has(id));
    if (fresh.length === 0) return;
    const belonging = await belongingOf({ incoming, asked: null, caller }, deps);
    const call = calledBy(incoming, { caller, belonging, upstream, credential, deps });
    const { createdAt } = call;
    await deps.owners.claim(fresh.map(({ id, kind }) => ({ id, kind, workspaceId, sandboxId, createdAt, call, dueAt: null })));
  }

  /** A thing that a client names there must not become its own. */
  #isItem(id: string): boolean {
    return ITEM_ID.test(id) && !this.#prefixes.some((prefix) => id.startsWith(prefix));
  }
}
