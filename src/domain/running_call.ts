import type { Actor } from "./audit.ts";
import type { Accuracy } from "./usage.ts";

/** A call in flight, as far as its answer has come. What is not known yet is null, never 0. */
export interface RunningCall {
  readonly id: string;
  readonly workspaceId: string;
  readonly sandboxId: string;
  /** Null, as `model`, for a call without a row. */
  readonly traceId: string | null;
  /** `messages` for a billed call of any dialect, or the name of a passthrough route. */
  readonly route: string;
  /** The served model, or the requested one if no answer has named one. */
  readonly model: string | null;
  readonly client: string | null;
  /** Who bills it. */
  readonly provider: string;
  /** The operator's name of the upstream. */
  readonly upstream: string;
  /** Milliseconds since the epoch, UTC, and since then. */
  readonly createdAt: number;
  readonly ageMs: number;
  /** The upstream's. */
  readonly status: number | null;
  readonly accuracy: Accuracy;
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
  readonly cacheCreationInputTokens: number | null;
  readonly cacheReadInputTokens: number | null;
  /** Nano-dollars; null also if the model has no price. */
  readonly cost: number | null;
  /** The number of the worker that has it; null if there are no workers. */
  readonly worker: number | null;
}

/** The calls in flight of a process or, with workers, of a machine. */
export interface RunningCalls {
  /** Oldest first. */
  readonly list: () => Promise<readonly RunningCall[]>;
  /** Cuts the call; resolves to what it was, or to null if none of that id is in flight. */
  readonly cut: (id: string) => Promise<RunningCall | null>;
}

/** The administration of calls in flight. */
export interface RunningCallAdmin extends Pick<RunningCalls, "list"> {
  /** As `RunningCalls.cut`. The audit then has an entry with the call as it was. */
  readonly cut: (id: string, by: Actor) => Promise<RunningCall | null>;
}
