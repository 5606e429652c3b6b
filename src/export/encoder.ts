import type { ExportFormat, UsageRecord } from "../domain/usage_record.ts";
import { csvEncoder } from "./csv.ts";
import type { TariffOf } from "./focus/charges.ts";
import { focusCsvEncoder, focusParquetEncoder } from "./focus/encoder.ts";
import { ndjsonEncoder } from "./ndjson.ts";
import { parquetEncoder } from "./parquet.ts";
import type { RowEncoder } from "./row_encoder.ts";

/** A new format is one row. */
const ENCODERS: Readonly<Record<ExportFormat, (tariffOf: TariffOf) => RowEncoder<UsageRecord>>> = {
  csv: csvEncoder,
  ndjson: ndjsonEncoder,
  parquet: parquetEncoder,
  focus: focusCsvEncoder,
  "focus-parquet": focusParquetEncoder,
};

/** `tariffOf`: how charges are priced; formats of rows do not ask. */
export function encoderOf(format: ExportFormat, tariffOf: TariffOf): RowEncoder<UsageRecord> {
  return ENCODERS[format](tariffOf);
}
