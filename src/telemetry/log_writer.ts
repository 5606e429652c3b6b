/** What is held for a reader that does not read, in UTF-16 code units: a log line is mostly ASCII. */
const MAX_HELD = 4 * 1024 * 1024;
/** Lines are gathered up to about so much for one write: what a pipe takes on Linux. */
const CHUNK = 64 * 1024;
/** Under load there is one write in this time, because a write costs more than ten lines do. */
const GATHER_MS = 10;
/** After a write that failed, the next try waits: twice as long each time, up to this. */
const MAX_RETRY_MS = 1_000;
/** A flush gives up after so many failed tries in a row: nobody will read. */
const HOPELESS = 4;

export interface LogWriterOptions {
  /** Writes some of the bytes, at least one, and resolves to how many. Only one write runs at a time. */
  readonly write: (bytes: Uint8Array) => Promise<number>;
  /** The line that tells how many lines were dropped, its line end included. */
  readonly droppedLine: (count: number) => string;
  readonly maxHeld?: number;
}

interface Chunk {
  text: string;
  lines: number;
}

/**
 * Writes lines without ever making its caller wait. A lone line is written at once. Lines that come during a write are
 * gathered for the next one. If nobody reads and `maxHeld` is reached, new lines are dropped and counted until half of
 * what is held has been taken. Then one line says how many were dropped.
 */
export class LogWriter {
  readonly #write: LogWriterOptions["write"];
  readonly #droppedLine: LogWriterOptions["droppedLine"];
  readonly #maxHeld: number;
  readonly #encoder = new TextEncoder();
  readonly #chunks: Chunk[] = [];
  #held = 0;
  #dropped = 0;
  /** Dropped lines that no line has told of yet. While there are any, all lines are dropped. */
  #untold = 0;
  #failures = 0;
  #running: Promise<void> | null = null;
  #flushes = 0;
  #cutPause: (() => void) | null = null;

  constructor({ write, droppedLine, maxHeld = MAX_HELD }: LogWriterOptions) {
    this.#write = write;
    this.#droppedLine = droppedLine;
    this.#maxHeld = maxHeld;
  }

  /** How many lines were dropped since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes one line, its line end included. */
  write(line: string): void {
    if (this.#untold > 0 || this.#held + line.length > this.#maxHeld) {
      this.#dropped++;
      this.#untold++;
    } else {
      this.#hold(line);
    }
    this.#running ??= this.#run();
  }

  /** Resolves when all lines are written, after `withinMs` at the latest, and sooner if writing fails again and again. */
  async flush(withinMs: number): Promise<void> {
    this.#flushes++;
    this.#cutPause?.();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, withinMs);
    await Promise.race([this.#running, late.promise]);
    clearTimeout(timer);
    this.#flushes--;
  }

  #hold(line: string): void {
    this.#held += line.length;
    const last = this.#chunks.at(-1);
    if (last === undefined || last.text.length + line.length > CHUNK) {
      this.#chunks.push({ text: line, lines: 1 });
    } else {
      last.text += line;
      last.lines++;
    }
  }

  /** Writes until nothing is held and a little longer, so that a line that comes soon is not written alone. */
  async #run(): Promise<void> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk === undefined && this.#untold === 0) break;
      if (chunk !== undefined) {
        if (!await this.#writeWhole(this.#encoder.encode(chunk.text))) {
          this.#lose(chunk);
          break;
        }
        this.#held -= chunk.text.length;
      }
      if (this.#untold > 0 && this.#held <= this.#maxHeld / 2) this.#tellDropped();
      if (this.#chunks.length < 2) await this.#pause(GATHER_MS);
    }
    this.#running = null;
  }

  #tellDropped(): void {
    const line = this.#droppedLine(this.#untold);
    this.#untold = 0;
    this.#hold(line);
  }

  /** False if a flush is under way and there is no hope. */
  async #writeWhole(bytes: Uint8Array): Promise<boolean> {
    for (let at = 0; at < bytes.length;) {
      const count = await this.#writeSome(bytes.subarray(at));
      if (count > 0) {
        this.#failures = 0;
        at += count;
        continue;
      }
      this.#failures++;
      if (this.#flushes > 0 && this.#failures >= HOPELESS) return false;
      await this.#pause(Math.min(GATHER_MS * 2 ** this.#failures, MAX_RETRY_MS));
    }
    return true;
  }

  async #writeSome(bytes: Uint8Array): Promise<number> {
    try {
      return await this.#write(bytes);
    } catch {
      return 0;
    }
  }

  #lose(chunk: Chunk): void {
    this.#held -= chunk.text.length;
    this.#dropped += chunk.lines;
    this.#untold += chunk.lines;
  }

  async #pause(ms: number): Promise<void> {
    if (this.#flushes > 0 && this.#failures === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#cutPause = resolve;
    await promise;
    clearTimeout(timer);
    this.#cutPause = null;
  }
}
