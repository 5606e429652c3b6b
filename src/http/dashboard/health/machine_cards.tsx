import type { Child } from "hono/jsx";
import type { Readiness } from "../../../domain/operations.ts";
import { durationText, shareText, wholeText } from "../figures.tsx";
import type { Samples } from "./samples.ts";

interface Card {
  readonly title: string;
  readonly value: (samples: Samples) => Child;
  readonly hint: (samples: Samples) => Child;
}

const CARDS: readonly Card[] = [
  {
    title: "Calls in flight",
    value: (samples) => count(samples.of("calls_in_flight")),
    hint: (samples) =>
      `${count(samples.of("calls_waiting"))} wait for a place, ${count(samples.of("upstream_waiting_calls"))} for the upstream`,
  },
  {
    title: "Workers",
    value: (samples) => count(samples.of("workers")),
    hint: (samples) => `restarts: ${count(samples.of("worker_restarts_total"))}`,
  },
  {
    title: "Connections",
    value: (samples) => count(samples.of("connections")),
    hint: (samples) => `of at most ${count(samples.of("connections_max"))}`,
  },
  {
    title: "Rows on their way to the store",
    value: (samples) => count(samples.of("unshipped_rows")),
    hint: (samples) => {
      const age = samples.of("oldest_unshipped_seconds");
      return age === null || age === 0 ? "none waits" : `the oldest for ${durationText(age * 1_000)}`;
    },
  },
  {
    title: "Spool",
    value: (samples) => {
      const fill = samples.of("spool_fill");
      return fill === null ? NONE : `${shareText(fill * 1_000, 1_000)}`;
    },
    hint: (samples) => `full, ${bytesText(samples.of("ledger_bytes"))} of records`,
  },
  {
    title: "Quarantined rows",
    value: (samples) => count(samples.of("quarantined_rows")),
    hint: (samples) => `${count(samples.of("ship_errors_total"))} failed attempts to ship`,
  },
  {
    title: "Free disk",
    value: (samples) => bytesText(samples.of("disk_free_bytes")),
    hint: () => "on the volume of the data directory",
  },
  {
    title: "Memory",
    value: (samples) => bytesText(samples.of("resident_memory_bytes")),
    hint: (samples) => {
      const uptime = samples.of("uptime_seconds");
      return uptime === null ? NONE : `up for ${durationText(uptime * 1_000)}`;
    },
  },
];

const NONE = "–";
const STATUS = { ok: ["good", "Ready"], degraded: ["warn", "Degraded"], unavailable: ["bad", "Unavailable"] } as const;

/** Whether calls are served and recorded, and why not. */
export function Status({ readiness, version }: { readonly readiness: Readiness; readonly version: string }) {
  const [tone, word] = STATUS[readiness.status];
  return (
    <p class="panel">
      <strong class={tone}>{word}</strong>.{" "}
      {readiness.reason === null ? "Calls are served and recorded" : readiness.reason}. llmproxy{" "}
      {version}. With several machines, each has its own page.
    </p>
  );
}

export function MachineCards({ samples }: { readonly samples: Samples }) {
  return (
    <dl class="cards">
      {CARDS.map(({ title, value, hint }) => (
        <div class="card">
          <dt>{title}</dt>
          <dd class="value">{value(samples)}</dd>
          <dd class="hint">{hint(samples)}</dd>
        </div>
      ))}
    </dl>
  );
}

function count(value: number | null): string {
  return value === null ? NONE : wholeText(value);
}

/** `1.5 GB`, by powers of ten. */
function bytesText(bytes: number | null): string {
  if (bytes === null) return NONE;
  const step = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), UNITS.length - 1);
  return `${(bytes / 1_000 ** step).toFixed(step === 0 ? 0 : 1)} ${UNITS[step]}`;
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];
