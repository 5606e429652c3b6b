import { LRUCache } from "lru-cache";
import { settlesWithin } from "../async/deadline.ts";
import { SingleFlight } from "../async/single_flight.ts";
import { Fault } from "../domain/fault.ts";
import type { Fields } from "../domain/header_fields.ts";
import type { RefusedRequest } from "../domain/observe.ts";
import type { Sandbox, SandboxOf } from "../domain/sandbox.ts";
import { cutClientString } from "../domain/text.ts";
import { hashedDigits } from "../wire/hashed_digits.ts";
import { holdsSecret } from "../wire/secrets.ts";
import { tokenOf } from "./authenticate.ts";
import { clientOf } from "./clients.ts";
import type { Deps } from "./deps.ts";
import { rawPath } from "./target.ts";
import { carriedSecrets, headersWithout, pathToShow } from "./token_filter.ts";

/** What may be told of a refused request, whatever is wrong with its token. */
export function refusedRequest(
  request: { readonly url: string; readonly headers: Fields },
  { sandbox, userId, clientIp }: Pick<RefusedRequest, "sandbox" | "clientIp"> & Pick<Fault, "userId">,
  { clients }: Pick<Deps, "clients">,
): RefusedRequest {
  const secrets = carriedSecrets(request.headers);
  const client = clientOf({ headers: headersWithout(request.headers, secrets), userId }, clients);
  const path = pathToShow(rawPath(request), secrets);
  return { sandbox, path, client: client === null ? null : cutClientString(client), clientIp };
}

export interface WhoseOptions {
  readonly sandboxOf: SandboxOf;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
  /** How long a refusal waits to learn whose it is. */
  readonly patienceMs: number;
}

export const WHOSE_DEFAULTS = { patienceMs: 250 } as const;

/** Tokens that are asked about in a second, without known ones; others have no owner. */
const ASKED_A_SECOND = 10;
/** 255 of the 256 bits of a SHA-256. */
const HASH_DIGITS = 51;
const MAX_ENTRIES = 1_000;
/** How long an answer is used: a sandbox that asks for a wrong path does so many times. */
const REMEMBERED_MS = 60_000;

/**
 * Finds the sandbox of a request that was refused before its token was looked at, so that an
 * operator finds the sandbox with the wrong base URL. It delays a refusal by at most `patienceMs`
 * and asks about a bounded number of tokens, so that a flood of made-up tokens does not become a
 * flood of questions.
 */
export class Whose {
  readonly #options: WhoseOptions;
  /** By the hash of the whole token; null: it has no owner. */
  readonly #known = new LRUCache<string, { readonly sandbox: Sandbox | null; readonly at: number }>({ max: MAX_ENTRIES });
  readonly #asked = new SingleFlight<string, void>();
  #second = -1;
  #count = 0;

  constructor(options: WhoseOptions) {
    this.#options = options;
  }

  /** Null if there is no telling. Never rejects. */
  async of({ headers }: { readonly headers: Fields }, url: string): Promise<Sandbox | null> {
    const token = plainTokenOf(headers);
    // A token in a URL has been given away, so it is not believed.
    if (token === null || holdsSecret(url, token)) return null;
    const hash = hashedDigits([token], HASH_DIGITS);
    const isFresh = () => this.#options.elapsed() - (this.#known.get(hash)?.at ?? -Infinity) < REMEMBERED_MS;
    if (!isFresh()) {
      if (!this.#mayAsk()) return null;
      await settlesWithin(this.#asked.run(hash, () => this.#ask(token, hash)), this.#options.patienceMs);
    }
    return isFresh() ? this.#known.get(hash)!.sandbox : null;
  }

  #mayAsk(): boolean {
    const second = Math.floor(this.#options.elapsed() / 1_000);
    if (second !== this.#second) [this.#second, this.#count] = [second, 0];
    return ++this.#count <= ASKED_A_SECOND;
  }

  async #ask(token: string, hash: string): Promise<void> {
    const sandbox = await this.#options.sandboxOf(token).catch(ownerOf);
    this.#known.set(hash, { sandbox, at: this.#options.elapsed() });
  }
}

/** Inactive sandboxes are refused, but they are known. */
function ownerOf(error: unknown): Sandbox | null {
  return error instanceof Fault ? error.sandbox : null;
}

function plainTokenOf(headers: Fields): string | null {
  try {
    return tokenOf(headers);
  } catch {
    return null;
  }
}
