import type { WorkerRpc } from "../async/worker_rpc.ts";
import { type ExportUsage, TooManyExports, type UsageExport } from "../domain/operations.ts";
import type { PriceList } from "../pricing/price_list.ts";
import type { Chunk, ExportMethods, ExportOrder, UsagePlace } from "./export_worker/protocol.ts";

const MOST_AT_ONCE = 2;
/** A client that reads nothing for so long is cut off, because others may be waiting. */
const UNREAD_MS = 300_000;
/** Chunks are sent in slices: 64 MB of whole chunks gathered before they were collected. */
const SLICE_BYTES = 16 * 1_024;

export interface Exports {
  readonly start: ExportUsage;
  /** Breaks off what is under way. */
  readonly end: () => void;
}

/** Exports, made by the Worker one chunk ahead of the reader. */
export function startExports(
  rpc: WorkerRpc<ExportMethods>,
  { place, prices }: { readonly place: () => UsagePlace; readonly prices: () => PriceList },
): Exports {
  const running = new Set<Export>();
  let lastName = 0;
  return {
    start: async (format, filter) => {
      if (running.size >= MOST_AT_ONCE) throw new TooManyExports(MOST_AT_ONCE);
      const from = place();
      const started = new Export(rpc, ++lastName, () => running.delete(started));
      running.add(started);
      return await started.begin({ place: from, format, filter, prices: prices() });
    },
    end: () => running.forEach((one) => one.cut(new Error("The proxy is shutting down"))),
  };
}

class Export {
  readonly #rpc: WorkerRpc<ExportMethods>;
  readonly #name: number;
  readonly #onEnd: () => void;
  #controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | null = null;
  #unread: ReturnType<typeof setTimeout> | undefined;

  constructor(rpc: WorkerRpc<ExportMethods>, name: number, onEnd: () => void) {
    [this.#rpc, this.#name, this.#onEnd] = [rpc, name, onEnd];
  }

  /** Resolves with the first chunk. A failure before that can still be reported in words. */
  async begin(order: ExportOrder): Promise<UsageExport> {
    let next = await this.#orStop(this.#rpc.call("begin", this.#name, order));
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
        next = await this.#orStop(this.#rpc.call("more", this.#name));
        at = 0;
      },
      cancel: () => this.#stop(),
    });
    const estimatedBytes = total === null || rows === 0 ? null : Math.round(bytes.length / rows * total);
    return { rows: total, estimatedBytes, body };
  }

  /** Breaks the reader's connection: part of a file must not pass for the whole. */
  cut(reason: Error): void {
    this.#controller?.error(reason);
    this.#stop();
  }

  async #orStop(chunk: Promise<Chunk>): Promise<Chunk> {
    try {
      return await chunk;
    } catch (error) {
      this.#stop();
      throw error;
    }
  }

  #watch(): void {
    clearTimeout(this.#unread);
    this.#unread = setTimeout(() => this.cut(new Error(`The client read nothing for ${UNREAD_MS / 1000} s`)), UNREAD_MS);
    Deno.unrefTimer(this.#unread);
  }

  #stop(): void {
    clearTimeout(this.#unread);
    this.#rpc.call("stop", this.#name).catch(() => {});
    this.#onEnd();
  }
}
