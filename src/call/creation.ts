import type { OpenCall } from "../domain/usage.ts";
import { OWNED_ID, type OwnedKind } from "../domain/owned.ts";
import type { Credential } from "../domain/provider.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import { JsonCopy } from "../wire/json_copy.ts";
import type { IdleTimeout } from "../wire/idle_timeout.ts";
import { tap, type Watch } from "../wire/tap.ts";
import { calledBy } from "./admit.ts";
import type { Belonging } from "./trace.ts";
import { CLIENT_LEFT } from "./traffic.ts";
import type { Deps, IncomingCall } from "./deps.ts";

/** The longest `id` of an answer that is read, and the most that is decoded of a compressed one. */
const MAX_VALUE_BYTES = 1024;
const MAX_DECODED_BYTES = 16 * 1024 * 1024;

/** A call that makes a file or a batch at the upstream, which is the caller's from before the answer's end on. */
export class Creation {
  readonly deps: Deps;
  readonly #kind: OwnedKind;
  readonly #sandbox: Sandbox;
  readonly #call: OpenCall;
  readonly #belonging: Belonging;
  readonly #over = Promise.withResolvers<void>();
  #departure: ReturnType<typeof setTimeout> | undefined;

  constructor(
    arrival: IncomingCall,
    options: {
      readonly kind: OwnedKind;
      readonly sandbox: Sandbox;
      readonly belonging: Belonging;
      readonly credential: Credential;
      readonly deps: Deps;
    },
  ) {
    this.deps = options.deps;
    this.#kind = options.kind;
    this.#sandbox = options.sandbox;
    this.#belonging = options.belonging;
    this.#call = calledBy(arrival, options);
  }

  /** Resolves when the answer has come to its end, or none comes. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** The client has gone. What it has made, it has made: the answer may come in for a while, so that somebody knows whose it is. */
  leave(controller: AbortController): void {
    this.#departure ??= setTimeout(() => controller.abort(CLIENT_LEFT), this.deps.upstream.drainAfterLeftMs);
    this.over.then(() => clearTimeout(this.#departure));
  }

  /** Commits the claim. Rejects with `Fault` `ledger_unavailable`. */
  async claim(id: unknown): Promise<void> {
    const { deps } = this;
    if (typeof id !== "string" || !OWNED_ID.test(id)) {
      deps.observe.note("warn", "the upstream made something that it gave no id: nobody owns it", {
        requestId: this.#call.id,
        kind: this.#kind,
      });
      return;
    }
    const isBatch = this.#kind === "batch";
    // Its lines belong to the call's trace, whose name only this call knows.
    if (isBatch) await deps.ledger.join(this.#belonging.trace);
    await deps.owners.claim([{
      id,
      kind: this.#kind,
      workspaceId: this.#sandbox.workspaceId,
      sandboxId: this.#sandbox.sandboxId,
      createdAt: this.#call.createdAt,
      call: isBatch ? { ...this.#call, batchId: id } : null,
      dueAt: isBatch ? this.#call.createdAt + deps.batches.firstLookMs : null,
    }]);
  }

  end(): void {
    this.#over.resolve();
  }
}

/** The answer, passing unchanged; where it is good, its last bytes wait until what it names has been claimed. */
export function claimed(
  answer: Response,
  init: ResponseInit & { readonly headers: Headers },
  { creation, silence }: { readonly creation: Creation; readonly silence: IdleTimeout },
): Response {
  if (!answer.ok || answer.body === null) {
    creation.end();
    return new Response(answer.body, init);
  }
  const watch = watchOf(answer, creation);
  const isSized = init.headers.has("content-length");
  return new Response(tap(answer.body, watch, { holdsLast: true, isSized, silence }), init);
}

function watchOf(answer: Response, creation: Creation): Watch {
  const copy = new JsonCopy(answer.headers, {
    keys: ["id", "type"],
    maxValueBytes: MAX_VALUE_BYTES,
    maxDecodedBytes: MAX_DECODED_BYTES,
  });
  return {
    look: (chunk) => copy.push(chunk),
    ended: async () => {
      try {
        const { values, isCut } = await copy.end();
        // An error with a good status has made nothing.
        if (values.get("type") !== "error") await creation.claim(values.get("id"));
        return isCut ? "broken" : "tidy";
      } finally {
        creation.end();
      }
    },
    broke: () => {
      copy.close();
      creation.end();
      return Promise.resolve();
    },
    left: () => "drain",
  };
}
