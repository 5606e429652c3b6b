import { fileURLToPath } from "node:url";
import { monotonicFactory } from "ulid";
import { BATCH_PACE, type BatchPace } from "../batches/accounts.ts";
import { newLogger } from "../telemetry/log.ts";
import { LogWriter } from "../telemetry/log_writer.ts";
import { readPrices, readSecrets, type Secrets } from "../config/config.ts";
import type { ConfigSource } from "../config/settings_reader.ts";
import type { NewId } from "../domain/ids.ts";
import type { PriceList } from "../pricing/price_list.ts";

/** What a serving proxy uses of its process. */
export interface ServerSystem {
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
  readonly newId: NewId;
  /** That many bytes from a cryptographic source. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** Takes one log line with its line end. It never waits for the reader of the log. */
  readonly writeLog: (line: string) => void;
  /** Log lines dropped since the start because the log's reader was too slow. */
  readonly logLinesDropped: () => number;
  /** Resolves when the log's lines are written, or soon if its reader has stopped. */
  readonly flushLog: () => Promise<void>;
  /** These two read the settings' files again. They throw `ConfigProblems`. */
  readonly rereadSecrets: () => Secrets;
  readonly rereadPrices: () => PriceList;
  readonly batchPace: BatchPace;
  /** How many files and connections the process may have open; null if the system does not say. */
  readonly openFileLimit: () => number | null;
  readonly cores: () => number;
  /** Starts this program again as a worker, with pipes for its input and output. */
  readonly startWorker: () => Deno.ChildProcess;
  /**
   * Whether the Workers for queries and exports start soon after the proxy, or with their first
   * orders: for tests, which start hundreds of proxies and export from few.
   */
  readonly startsWorkers: boolean;
}

/** How long the end of the process waits for the reader of its output. */
export const FLUSH_MS = 1_000;

/** Clock, randomness, output and secrets' files of this process, for all other parts. */
export function systemOf(source: ConfigSource): ServerSystem {
  // Deno writes on another thread, so a reader that stops blocks no call and no exit.
  const log = new LogWriter({ write: (bytes) => Deno.stdout.write(bytes), droppedLine });
  return {
    now: () => Date.now(),
    elapsed: () => performance.now(),
    newId: newIdFactory(),
    randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    writeLog: (line) => log.write(line),
    logLinesDropped: () => log.dropped,
    flushLog: () => log.flush(FLUSH_MS),
    rereadSecrets: () => readSecrets(source),
    rereadPrices: () => readPrices(source),
    batchPace: BATCH_PACE,
    openFileLimit,
    cores: () => navigator.hardwareConcurrency,
    startWorker,
    startsWorkers: true,
  };
}

/** Its stderr is this process's: what it writes there is a crash. */
function startWorker(): Deno.ChildProcess {
  const main = Deno.build.standalone ? [] : ["run", "-A", fileURLToPath(new URL("../../main.ts", import.meta.url))];
  return new Deno.Command(Deno.execPath(), { args: [...main, "worker"], stdin: "piped", stdout: "piped" }).spawn();
}

/** The soft limit: https://man7.org/linux/man-pages/man5/proc_pid_limits.5.html */
function openFileLimit(): number | null {
  try {
    const limit = /^Max open files +(\d+)/m.exec(Deno.readTextFileSync("/proc/self/limits"))?.[1];
    return limit === undefined ? null : Number(limit);
  } catch {
    return null;
  }
}

/** ULIDs that sort also within one millisecond, 0.7 us each (a plain `ulid()` takes 20 us). */
function newIdFactory(): () => string {
  const next = monotonicFactory();
  return () => next();
}

/** The stderr of `serve`. A reader that has stopped must not keep the process from its end. */
export function errorOutput(): LogWriter {
  return new LogWriter({ write: (bytes) => Deno.stderr.write(bytes), droppedLine: () => "" });
}

/** Written at every `LLMPROXY_LOG_LEVEL`: that level asked for the lines that were dropped. */
export function droppedLine(count: number): string {
  const lines: string[] = [];
  const options = { write: (line: string) => void lines.push(line), now: () => Date.now(), secrets: () => [] };
  newLogger("warn", options).log("warn", "log lines were dropped: stdout was not read for a time", { dropped: count });
  return lines.join("");
}
