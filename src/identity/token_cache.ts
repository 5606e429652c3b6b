import { LRUCache } from "lru-cache";
import type { Sandbox } from "../domain/sandbox.ts";

/** What the control plane says of a token: whose it is and whether that sandbox may call, or that it knows no such token. */
export type Answer = { readonly sandbox: Sandbox; readonly isActive: boolean } | "unknown";

/** Entries of each of the two caches: made-up tokens fill the one of the refused and push no good token out. */
const MAX_ENTRIES = 10_000;
const POSITIVE_MS = 30_000;
const NEGATIVE_MS = 5_000;
/** After a failed look-up a token that grace carries is not looked up again for so long. */
const FAILURE_MS = 1_000;

interface Good {
  readonly sandbox: Sandbox;
  readonly vouchedAt: number;
  /** When a look-up of it last failed since then. */
  readonly failedAt: number | null;
}

interface Bad {
  readonly answer: Answer;
  readonly at: number;
}

/** What the control plane has said of tokens, by the SHA-256 of the whole token. Every `at` is now, in milliseconds. */
export class TokenCache {
  readonly #graceMs: number;
  readonly #good = new LRUCache<string, Good>({ max: MAX_ENTRIES });
  readonly #bad = new LRUCache<string, Bad>({ max: MAX_ENTRIES });

  constructor({ graceMs }: { readonly graceMs: number }) {
    this.#graceMs = graceMs;
  }

  /** The newest answer takes the place of every older one, grace included. */
  answered(hash: string, { answer, at }: { readonly answer: Answer; readonly at: number }): void {
    if (answer !== "unknown" && answer.isActive) {
      this.#good.set(hash, { sandbox: answer.sandbox, vouchedAt: at, failedAt: null });
    } else {
      this.#good.delete(hash);
      this.#bad.set(hash, { answer, at });
    }
  }

  failed(hash: string, at: number): void {
    const good = this.#good.peek(hash);
    if (good !== undefined) this.#good.set(hash, { ...good, failedAt: at });
  }

  /** An answer that is young enough to need no asking. */
  fresh(hash: string, at: number): Answer | null {
    const good = this.#good.get(hash);
    if (good !== undefined && at - good.vouchedAt < POSITIVE_MS) return { sandbox: good.sandbox, isActive: true };
    const bad = this.#bad.get(hash);
    return bad !== undefined && at - bad.at < NEGATIVE_MS ? bad.answer : null;
  }

  /** The sandbox of a token that was good within the grace period and has not been refused since. */
  graced(hash: string, at: number): Sandbox | null {
    const good = this.#good.peek(hash);
    return good !== undefined && at - good.vouchedAt < this.#graceMs ? good.sandbox : null;
  }

  /** Whose token it was when the control plane last named a sandbox; null if it never did. */
  lastOwner(hash: string): Sandbox | null {
    const bad = this.#bad.peek(hash)?.answer ?? "unknown";
    return this.#good.peek(hash)?.sandbox ?? (bad === "unknown" ? null : bad.sandbox);
  }

  hasJustFailed(hash: string, at: number): boolean {
    const failedAt = this.#good.peek(hash)?.failedAt ?? null;
    return failedAt !== null && at - failedAt < FAILURE_MS;
  }
}
