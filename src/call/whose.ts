import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { Fault } from "../domain/fault.ts";
import type { Sandbox, SandboxOf } from "../domain/sandbox.ts";
import { holdsSecret } from "../wire/secrets.ts";
import { tokenOf } from "./authenticate.ts";

export interface WhoseOptions {
  readonly sandboxOf: SandboxOf;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
  /** A refusal waits so long to learn whose it is. */
  readonly patienceMs: number;
}

export const WHOSE_DEFAULTS = { patienceMs: 250 } as const;

/**
 * Tokens that are asked about in a second, known ones not counted. What comes beyond is nobody's.
 */
const ASKED_A_SECOND = 10;
const MAX_ENTRIES = 1_000;
/** How long an answer is used. A sandbox that asks for a wrong path does so again and again. */
const REMEMBERED_MS = 60_000;

/**
 * Whose a refused request is, if it carries a token but was refused before anybody looked at that:
 * for the operator who has to find the sandbox with the wrong base URL. It never delays a refusal
 * by more than `patienceMs`, and it asks about a bounded number of tokens, so that a flood of
 * made-up tokens at made-up paths does not become a flood of look-ups.
 */
export class Whose {
  readonly #options: WhoseOptions;
  /** By the SHA-256 of the whole token; null: nobody's. */
  readonly #known = new LRUCache<string, { readonly sandbox: Sandbox | null; readonly at: number }>({ max: MAX_ENTRIES });
  #second = -1;
  #asked = 0;

  constructor(options: WhoseOptions) {
    this.#options = options;
  }

  /** Null if nobody can tell. Never rejects. */
  async of({ headers }: Pick<Request, "headers">, url: string): Promise<Sandbox | null> {
    const token = plainTokenOf(headers);
    // Such a token has been given away and is not taken for anybody's.
    if (token === null || holdsSecret(url, token)) return null;
    const hash = createHash("sha256").update(token).digest("hex");
    const known = this.#known.get(hash);
    const now = this.#options.elapsed();
    if (known !== undefined && now - known.at < REMEMBERED_MS) return known.sandbox;
    return this.#mayAsk(now) ? await this.#ask(token, hash) : null;
  }

  #mayAsk(now: number): boolean {
    const second = Math.floor(now / 1_000);
    if (second !== this.#second) [this.#second, this.#asked] = [second, 0];
    return ++this.#asked <= ASKED_A_SECOND;
  }

  async #ask(token: string, hash: string): Promise<Sandbox | null> {
    const { sandboxOf, elapsed, patienceMs } = this.#options;
    const answer = sandboxOf(token).catch(ownerOf).then((sandbox) => {
      this.#known.set(hash, { sandbox, at: elapsed() });
      return sandbox;
    });
    const late = Promise.withResolvers<null>();
    const timer = setTimeout(() => late.resolve(null), patienceMs);
    return await Promise.race([answer, late.promise]).finally(() => clearTimeout(timer));
  }
}

/** A sandbox that is not active is refused, and is known all the same. */
function ownerOf(error: unknown): Sandbox | null {
  return error instanceof Fault ? error.sandbox : null;
}

function plainTokenOf(headers: Headers): string | null {
  try {
    return tokenOf(headers);
  } catch {
    return null;
  }
}
