import type { ExportFormat } from "../domain/usage_record.ts";
import type { UsageEncoder } from "./columns.ts";
import { csvEncoder } from "./csv.ts";
import { ndjsonEncoder } from "./ndjson.ts";
import { parquetEncoder } from "./parquet.ts";

/** A new format is one row. */
const ENCODERS: Readonly<Record<ExportFormat, () => UsageEncoder>> = {
  csv: csvEncoder,
  ndjson: ndjsonEncoder,
  parquet: parquetEncoder,
};

export function encoderOf(format: ExportFormat): UsageEncoder {
  return ENCODERS[format]();
}
