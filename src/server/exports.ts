import { type ExportUsage, TooManyExports, type UsageExport } from "../http/export.ts";
import type { TakeoutLink } from "./export_worker/link.ts";
import type { Chunk, ExportWish, UsagePlace } from "./export_worker/protocol.ts";

const MOST_AT_ONCE = 2;
/** Whoever reads nothing for so long is cut off: others may be waiting. */
const UNREAD_MS = 300_000;
/** Of a chunk, handed on at a time: large buffers alone would let some 64 MB of them gather before they are collected. */
const SLICE_BYTES = 16 * 1_024;

export interface Exports {
  readonly start: ExportUsage;
  /** Breaks off what is under way. */
  readonly end: () => void;
}

/** Exports, made by the Worker one chunk ahead of who reads. */
export function startExports(link: TakeoutLink, place: () => UsagePlace): Exports {
  const running = new Set<Export>();
  let lastName = 0;
  return {
    start: async (format, filter) => {
      if (running.size >= MOST_AT_ONCE) throw new TooManyExports(MOST_AT_ONCE);
      const from = place();
      const started = new Export({ link, name: ++lastName, onEnd: () => running.delete(started) });
      running.add(started);
      return await started.begun({ place: from, format, filter });
    },
    end: () => running.forEach((one) => one.cut(new Error("The proxy is shutting down"))),
  };
}

class Export {
  readonly #link: TakeoutLink;
  readonly #name: number;
  readonly #onEnd: () => void;
  #controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | null = null;
  #unread: ReturnType<typeof setTimeout> | undefined;

  constructor({ link, name, onEnd }: { readonly link: TakeoutLink; readonly name: number; readonly onEnd: () => void }) {
    [this.#link, this.#name, this.#onEnd] = [link, name, onEnd];
  }

  /** Resolves when the first chunk is there; what fails until then can still be said in words. */
  async begun(wish: ExportWish): Promise<UsageExport> {
    let next = await this.#orStop(this.#link.ask("begin", this.#name, wish));
    const { total, rows, bytes } = next;
    let at = 0;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        this.#controller = controller;
        this.#watch();
      },
      pull: async (controller) => {
        this.#watch();
        const slice = next.bytes.subarray(at, at += SLICE_BYTES);
        if (slice.length > 0) controller.enqueue(slice);
        if (at < next.bytes.length) return;
        if (next.isLast) {
          controller.close();
          return this.#stop();
        }
        next = await this.#orStop(this.#link.ask("more", this.#name));
        at = 0;
      },
      cancel: () => this.#stop(),
    });
    const estimatedBytes = total === null || rows === 0 ? null : Math.round(bytes.length / rows * total);
    return { rows: total, estimatedBytes, body };
  }

  /** The reader's connection breaks: what it has of the file must not pass for the whole. */
  cut(reason: Error): void {
    this.#controller?.error(reason);
    this.#stop();
  }

  async #orStop(asked: Promise<Chunk>): Promise<Chunk> {
    try {
      return await asked;
    } catch (error) {
      this.#stop();
      throw error;
    }
  }

  #watch(): void {
    clearTimeout(this.#unread);
    this.#unread = setTimeout(() => this.cut(new Error(`Nobody read on for ${UNREAD_MS / 1000} s`)), UNREAD_MS);
    Deno.unrefTimer(this.#unread);
  }

  #stop(): void {
    clearTimeout(this.#unread);
    this.#link.ask("stop", this.#name).catch(() => {});
    this.#onEnd();
  }
}
