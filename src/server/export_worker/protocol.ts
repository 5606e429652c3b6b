import type { CarriedError } from "../../domain/unavailable.ts";
import type { RowBounds } from "../../stores/sqlite/backup.ts";
import type { ExportFormat, UsageFilter } from "../../domain/usage_record.ts";

/** Where the rows are: the embedded database's path, or the shared one's URL, which holds a password. */
export type UsagePlace = { readonly path: string } | { readonly url: string };

export interface ExportWish {
  readonly place: UsagePlace;
  readonly format: ExportFormat;
  readonly filter: UsageFilter;
}

/** Part of a file. `rows`: how many of them went into it. `total`: of all parts, null where they could not be counted. */
export interface Chunk {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly rows: number;
  readonly total: number | null;
  readonly isLast: boolean;
}

/** What the Worker does. An export is named by whoever begins it; `stop` ends one whose end nobody waits for. */
export interface TakeoutVerbs {
  readonly begin: (name: number, wish: ExportWish) => Promise<Chunk>;
  readonly more: (name: number) => Promise<Chunk>;
  readonly stop: (name: number) => Promise<void>;
  /** Copies the embedded database of that path, as it stands at one moment, into a new file. */
  readonly backUp: (path: string, into: string) => Promise<RowBounds>;
  /** How many rows of usage are in the copy. Rejects if that cannot be all, or if it is not sound. */
  readonly checkCopy: (path: string, bounds: RowBounds) => Promise<number>;
}

export interface TakeoutMessage {
  readonly ask: number;
  readonly verb: keyof TakeoutVerbs;
  readonly args: readonly unknown[];
}

export type TakeoutReply =
  | { readonly ask: number; readonly value: unknown }
  | { readonly ask: number; readonly failure: CarriedError };
