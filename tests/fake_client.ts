import type { AnswerHead, AnswerSink } from "../src/domain/answer_sink.ts";

/**
 * A client in process. It takes a chunk when that is read from the answer's body. Then it spoils
 * the chunk, which may not be read any more.
 */
export class FakeClient implements AnswerSink {
  readonly #answer = Promise.withResolvers<Response>();
  readonly #over = Promise.withResolvers<void>();
  readonly #chunks: { readonly chunk: Uint8Array; readonly written: (() => void) | undefined }[] = [];
  readonly #body: ReadableStream<Uint8Array<ArrayBuffer>>;
  #listener: (() => void) | null = null;
  #end: "whole" | "broken" | null = null;
  #hasLeft = false;
  #taken: PromiseWithResolvers<void> | null = null;
  #written = Promise.withResolvers<void>();

  /** The client leaves when the signal aborts, or when its body is cancelled. */
  constructor(leaves: AbortSignal) {
    this.#body = new ReadableStream({ pull: (controller) => this.#next(controller), cancel: () => this.#leave() }, {
      highWaterMark: 0,
    });
    leaves.addEventListener("abort", () => this.#leave());
    if (leaves.aborted) this.#leave();
  }

  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** The answer as this client gets it, once its head is there; rejects as the story does. */
  answerOf(story: Promise<void>): Promise<Response> {
    return Promise.race([this.#answer.promise, story.then(() => this.#answer.promise)]);
  }

  onLeft(listener: () => void): void {
    this.#listener = listener;
    if (this.#hasLeft) listener();
  }

  begin({ status, statusText, headers }: AnswerHead): void {
    const hasBody = ![101, 204, 205, 304].includes(status);
    this.#answer.resolve(new Response(hasBody ? this.#body : null, { status, statusText, headers: headersOf(headers) }));
    if (!hasBody) this.#over.resolve();
  }

  write(chunk: Uint8Array, written?: () => void): Promise<void> | undefined {
    if (this.#hasLeft) return undefined;
    this.#chunks.push({ chunk, written });
    this.#written.resolve();
    this.#taken ??= Promise.withResolvers<void>();
    return this.#taken.promise;
  }

  end(last: Uint8Array | null = null): Promise<void> {
    if (last !== null) void this.write(last);
    return this.#finish("whole");
  }

  break(): Promise<void> {
    return this.#finish("broken");
  }

  #finish(end: "whole" | "broken"): Promise<void> {
    this.#end = end;
    this.#written.resolve();
    return this.#hasLeft ? Promise.resolve() : this.#over.promise;
  }

  #leave(): void {
    this.#hasLeft = true;
    this.#taken?.resolve();
    this.#over.resolve();
    this.#listener?.();
  }

  async #next(controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>): Promise<void> {
    while (this.#chunks.length === 0 && this.#end === null) {
      this.#written = Promise.withResolvers<void>();
      await this.#written.promise;
    }
    const first = this.#chunks.shift();
    if (first !== undefined) controller.enqueue(taken(first));
    else if (this.#end === "whole") controller.close();
    else controller.error(new Error("the connection broke"));
    if (this.#chunks.length > 0) return;
    this.#taken?.resolve();
    this.#taken = null;
    if (first === undefined) this.#over.resolve();
  }
}

function taken(
  { chunk, written }: { readonly chunk: Uint8Array; readonly written: (() => void) | undefined },
): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(chunk);
  if (written !== undefined) {
    chunk.fill(SPOILED);
    written();
  }
  return copy;
}

const SPOILED = 0xdb;

function headersOf(fields: Iterable<readonly [string, string]>): Headers {
  const headers = new Headers();
  for (const [name, value] of fields) headers.append(name, value);
  return headers;
}
