import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers";
import type { AnswerHead, AnswerSink } from "../domain/answer_sink.ts";
import { endSlowly } from "./last_words.ts";
import { hasBody } from "./request_body.ts";

/** On every answer of the proxy's port. */
export const REQUEST_ID_HEADER = "x-llmproxy-request-id";

export interface HttpAnswerOptions {
  /** Named in the answer. */
  readonly requestId: string;
  /** A client that takes nothing for so long, milliseconds, is disconnected. */
  readonly stallMs: number;
}

/**
 * A client that closes its half of the connection may still read. Within an answer it counts as
 * gone if nothing could be sent to it for so long: only a packet shows whether it is still there.
 */
const HALF_CLOSED_MS = 100;
/** Before its answer, a `102 Processing` may be sent (RFC 9110, 15.2), so it is asked that way. */
const FIRST_PROBE_MS = 30;
const PROBE_MS = 5_000;
/** What a reset drops on its way is lost, so the last bytes get this head start. */
const RESET_AFTER_MS = 250;

/** The answer to one request of a `node:http` server. */
export class HttpAnswer implements AnswerSink {
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #socket: Socket;
  readonly #options: HttpAnswerOptions;
  readonly #over = Promise.withResolvers<void>();
  #hasLeft = false;
  #hasWritten = false;
  /** The connection's end does not show the answer's end by itself. */
  #isChunked = false;
  #listener: (() => void) | null = null;
  #drained: PromiseWithResolvers<void> | null = null;
  #stall: ReturnType<typeof setTimeout> | undefined;
  #halfClosed: ReturnType<typeof setTimeout> | undefined;
  #probes = 0;
  readonly #onHalfClose = () => this.#awaitReaction();
  readonly #onClose = () => this.#closed();

  constructor(incoming: IncomingMessage, outgoing: ServerResponse, options: HttpAnswerOptions) {
    [this.#incoming, this.#outgoing, this.#socket, this.#options] = [incoming, outgoing, incoming.socket, options];
    outgoing.once("close", this.#onClose);
    // An answer that waits for one before it on the connection is told of no close.
    this.#socket.once("close", this.#onClose);
    this.#socket.once("end", this.#onHalfClose);
    if (this.#socket.readableEnded) this.#awaitReaction();
  }

  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** Settles when the answer is delivered, or the client has left. Never rejects. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  onLeft(listener: () => void): void {
    this.#listener = listener;
    if (this.#hasLeft) listener();
  }

  begin({ status, statusText, headers }: AnswerHead): void {
    if (this.#hasLeft) return;
    this.#outgoing.writeHead(status, REASON.test(statusText) ? statusText : "", [
      ...[...headers].filter(([name]) => name !== REQUEST_ID_HEADER).flat(),
      REQUEST_ID_HEADER,
      this.#options.requestId,
    ]);
    const isSized = headers.has("content-length");
    this.#isChunked = !isSized && this.#incoming.httpVersion === "1.1";
    // The head goes out with the first bytes, unless those have yet to come.
    if (!isSized) setImmediate(() => this.#flushHead());
  }

  write(chunk: Uint8Array, written?: () => void): Promise<void> | undefined {
    if (this.#hasLeft || chunk.length === 0) return undefined;
    if (this.#halfClosed !== undefined) this.#awaitReaction();
    this.#hasWritten = true;
    if (this.#outgoing.write(chunk, (error) => error ?? written?.())) return undefined;
    this.#drained = Promise.withResolvers<void>();
    this.#outgoing.once("drain", () => this.#wake());
    this.#bound();
    return this.#drained.promise;
  }

  end(last: Uint8Array | null = null): Promise<void> {
    if (this.#hasLeft) return this.over;
    this.#hasWritten = true;
    if (last === null) this.#outgoing.end();
    else this.#outgoing.end(last);
    if (this.#socket.writableLength > 0) this.#bound();
    return this.over;
  }

  break(): Promise<void> {
    if (this.#hasLeft) return this.over;
    this.#bound();
    this.#flushHead();
    // Without the last chunk, the connection's end is a break. Otherwise only a reset is.
    if (this.#isChunked) this.#socket.destroySoon();
    else this.#socket.write(NOTHING, () => setTimeout(() => this.#socket.resetAndDestroy(), RESET_AFTER_MS));
    return this.over;
  }

  /**
   * A whole answer of our own. If the request's body is still coming, the connection ends after it:
   * nothing is read of what is refused.
   */
  async answer(head: AnswerHead, body: string | null): Promise<void> {
    if (this.#hasLeft) return;
    const bytes = body === null ? null : new TextEncoder().encode(body);
    if (bytes !== null) head.headers.set("content-length", String(bytes.length));
    // A request without a body is complete only after its handler's first turn.
    if (!this.#incoming.complete && hasBody(this.#incoming)) {
      head.headers.set("connection", "close");
      this.#socket.destroySoon = () => endSlowly(this.#socket);
    }
    this.begin(head);
    await this.end(bytes);
  }

  #flushHead(): void {
    if (!this.#hasWritten && !this.#hasLeft) this.#outgoing.flushHeaders();
    this.#hasWritten = true;
  }

  #closed(): void {
    clearTimeout(this.#stall);
    clearTimeout(this.#halfClosed);
    this.#socket.off("end", this.#onHalfClose).off("close", this.#onClose);
    this.#wake();
    if (!this.#outgoing.writableFinished) this.#leave();
    this.#over.resolve();
  }

  #leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#listener?.();
  }

  #wake(): void {
    if (!this.#outgoing.writableEnded) {
      clearTimeout(this.#stall);
      this.#stall = undefined;
    }
    this.#drained?.resolve();
    this.#drained = null;
  }

  /** A socket that is closed for reading too resets the connection at the next packet. */
  #awaitReaction(): void {
    clearTimeout(this.#halfClosed);
    const { headersSent, writableEnded } = this.#outgoing;
    // A body that is cut short has a reader, who answers.
    if (writableEnded || !this.#incoming.complete) return;
    if (headersSent || this.#incoming.httpVersion !== "1.1") {
      this.#halfClosed = setTimeout(() => this.#listener?.(), HALF_CLOSED_MS);
      return;
    }
    // The second packet finds the connection reset by the first.
    this.#outgoing.writeProcessing();
    this.#halfClosed = setTimeout(() => this.#awaitReaction(), this.#probes++ === 0 ? FIRST_PROBE_MS : PROBE_MS);
  }

  #giveUp(): void {
    this.#leave();
    this.#socket.destroy();
  }

  /** From now on the client has so long to take what waits. */
  #bound(): void {
    this.#stall ??= setTimeout(() => this.#giveUp(), this.#options.stallMs);
  }
}

const NOTHING = new Uint8Array();
/** What node:http takes as a reason phrase. */
const REASON = /^[\t\x20-\x7e\x80-\xff]*$/;
