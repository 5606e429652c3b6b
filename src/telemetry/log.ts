import { plainRecord } from "./plain_data.ts";
import { Redactor } from "./redact.ts";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal";

/** Writes log lines. It never throws. */
export interface Logger {
  /** Writes one line. `fields` may hold anything, such as errors with causes; hides credentials. */
  readonly log: (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** Whether `log` would write at that level, so that a caller need not make fields. */
  readonly isEnabled: (level: LogLevel) => boolean;
}

export interface LoggerOptions {
  /** Takes one line with its line end. If it throws, that line is lost. */
  readonly write: (line: string) => void;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  /** Texts that must never appear; called for each record. */
  readonly secrets: () => readonly string[];
}

/** A field of such a name gets an underscore after it. */
const OWN_NAMES = ["level", "time", "msg"];

/** As pino numbers them. */
const LEVELS: Readonly<Record<LogLevel | "silent", number>> = {
  trace: 10,
  debug: 20,
  info: 30,
  warn: 40,
  error: 50,
  fatal: 60,
  silent: Infinity,
};

/**
 * A logger of one JSON line a record: `level`, `time` (RFC 3339, UTC), the fields, `msg`. Every
 * name and text passes the redaction. Errors show stacks at the levels `debug` and `trace` only.
 *
 * `plainRecord` copies the fields first: `JSON.stringify` of the fields themselves would run every
 * `toJSON`, write a buffer of 1 MB as 11 MB of numbers, and not return from a small value that is
 * shared 50^7 times.
 */
export function newLogger(level: LogLevel | "silent", { write, now, secrets }: LoggerOptions): Logger {
  const redactor = new Redactor(secrets);
  const least = LEVELS[level];
  const withStacks = least <= LEVELS.debug;

  function lineOf(asked: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): string {
    const text = JSON.stringify(withoutOwnNames(plainRecord(fields, { redactor, withStacks }))).slice(1, -1);
    const between = text === "" ? "" : `${text},`;
    const time = new Date(now()).toISOString();
    return `{"level":"${asked}","time":"${time}",${between}"msg":${JSON.stringify(redactor.text(message))}}\n`;
  }

  return {
    isEnabled: (asked) => LEVELS[asked] >= least,
    log(asked, message, fields = {}) {
      if (LEVELS[asked] < least) return;
      try {
        redactor.refresh();
        write(lineOf(asked, message, fields));
      } catch {
        try {
          write(lineOf(asked, "a log record could not be written", {}));
        } catch {
          // The output itself fails, so there is no place to report it.
        }
      }
    },
  };
}

function withoutOwnNames(record: Record<string, unknown>): Record<string, unknown> {
  for (const name of OWN_NAMES) {
    if (!(name in record)) continue;
    record[`${name}_`] = record[name];
    delete record[name];
  }
  return record;
}
