import { delay, settlesWithin } from "../async/deadline.ts";

/** Held for a reader that does not read, in UTF-16 code units: a log line is mostly ASCII. */
const MAX_HELD = 4 * 1024 * 1024;
/** One write takes about so many characters: a pipe's buffer on Linux. */
const CHUNK = 64 * 1024;
/** Under load there is one write in this time: a write costs more than ten lines. */
const GATHER_MS = 50;
/** After a failed write it waits twice as long each time, up to this. */
const MAX_RETRY_MS = 1_000;
/** A flush gives up after so many failures in a row. */
const HOPELESS = 4;

export interface LogWriterOptions {
  /** Writes at least one of the bytes and resolves to how many. Only one write runs at a time. */
  readonly write: (bytes: Uint8Array) => Promise<number>;
  /** The line, with its line end, that tells how many lines were dropped. */
  readonly droppedLine: (count: number) => string;
  readonly maxHeld?: number;
}

interface Chunk {
  text: string;
  lines: number;
}

/**
 * Writes lines without ever making its caller wait. It writes a lone line at once and gathers lines
 * that come during a write for the next one. If nothing reads them and it holds `maxHeld`, it drops
 * and counts new lines until half of what it holds has been taken. Then one line tells the count.
 */
export class LogWriter {
  readonly #write: LogWriterOptions["write"];
  readonly #droppedLine: LogWriterOptions["droppedLine"];
  readonly #maxHeld: number;
  readonly #encoder = new TextEncoder();
  readonly #chunks: Chunk[] = [];
  #held = 0;
  #dropped = 0;
  /** Dropped lines that no line has told of yet. While there are any, it drops all lines. */
  #untold = 0;
  #failures = 0;
  #running: Promise<void> | null = null;
  #flushes = 0;
  #pausing: AbortController | null = null;

  constructor({ write, droppedLine, maxHeld = MAX_HELD }: LogWriterOptions) {
    this.#write = write;
    this.#droppedLine = droppedLine;
    this.#maxHeld = maxHeld;
  }

  /** How many lines were dropped since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes one line with its line end. */
  write(line: string): void {
    if (this.#untold > 0 || this.#held + line.length > this.#maxHeld) {
      this.#dropped++;
      this.#untold++;
    } else {
      this.#hold(line);
    }
    this.#running ??= this.#run();
  }

  /** Resolves when all lines are written, after `withinMs`, or if writing fails again and again. */
  async flush(withinMs: number): Promise<void> {
    if (this.#running === null) return;
    this.#flushes++;
    this.#pausing?.abort();
    await settlesWithin(this.#running, withinMs);
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

  /** Writes all lines and waits a little, so that it does not write the next line alone. */
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

  /** False if a flush is under way and gives up. */
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
    this.#pausing = new AbortController();
    await delay(ms, this.#pausing.signal);
  }
}
