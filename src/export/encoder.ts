import type { ExportFormat, UsageRecord } from "../domain/usage_record.ts";
import { csvEncoder } from "./csv.ts";
import { ndjsonEncoder } from "./ndjson.ts";
import { parquetEncoder } from "./parquet.ts";

/** Makes a file of rows, part by part; what it holds on to does not grow with them, but for some bytes a few thousand rows. */
export interface UsageEncoder {
  /** The bytes that these rows complete: none where they are still being gathered. */
  readonly add: (rows: readonly UsageRecord[]) => Uint8Array<ArrayBuffer>;
  /** The bytes that end the file. */
  readonly end: () => Uint8Array<ArrayBuffer>;
}

/** A new format is one row. */
const ENCODERS: Readonly<Record<ExportFormat, () => UsageEncoder>> = {
  csv: csvEncoder,
  ndjson: ndjsonEncoder,
  parquet: parquetEncoder,
};

export function encoderOf(format: ExportFormat): UsageEncoder {
  return ENCODERS[format]();
}
