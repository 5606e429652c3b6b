import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import type { Kind } from "../domain/usage_columns.ts";
import type { UsageRecord } from "../domain/usage_record.ts";
import { COLUMNS, fieldOf } from "./columns.ts";
import type { RowEncoder } from "./row_encoder.ts";

/**
 * At most so much is in a group, which is held until it is complete. Each adds some 5 KB to the
 * file's footer.
 */
const GROUP_ROWS = 2_500;
const GROUP_CHARACTERS = 5_000_000;

export const PARQUET_TYPES = {
  text: { type: "BYTE_ARRAY", converted_type: "UTF8" },
  whole: { type: "INT64" },
  flag: { type: "BOOLEAN" },
  time: { type: "INT64", converted_type: "TIMESTAMP_MILLIS" },
  // Nine places are nano-dollars: the integer is what is stored, and readers add it up exactly.
  nanoDollars: { type: "INT64", converted_type: "DECIMAL", precision: 18, scale: 9 },
  attoDecimal: { type: "FIXED_LEN_BYTE_ARRAY", type_length: 16, converted_type: "DECIMAL", precision: 38, scale: 18 },
} as const;

export interface ParquetColumn<R> {
  readonly name: string;
  readonly type: keyof typeof PARQUET_TYPES;
  readonly isRequired: boolean;
  /** Null: no value. A bigint for numbers and times: a decimal's is the unscaled one. */
  readonly valueOf: (row: R) => string | bigint | boolean | null;
}

const TYPES = {
  text: "text",
  counts: "text",
  list: "text",
  count: "whole",
  ms: "whole",
  flag: "flag",
  time: "time",
  money: "nanoDollars",
} as const satisfies Record<Kind, keyof typeof PARQUET_TYPES>;

export function parquetEncoder(): RowEncoder<UsageRecord> {
  return parquetTable(
    "usage",
    COLUMNS.map((column) => ({
      name: column.jsonKey,
      type: TYPES[column.kind],
      isRequired: column.isAlwaysShown,
      valueOf: (row: UsageRecord) => valueOf(fieldOf(row, column), column.kind),
    })),
  );
}

/**
 * Parquet (https://parquet.apache.org/docs/file-format/), Snappy, in row groups of bounded size.
 */
export function parquetTable<R>(name: string, columns: readonly ParquetColumn<R>[]): RowEncoder<R> {
  const bytes = new ByteWriter();
  const writer = new ParquetWriter({ writer: bytes, schema: schemaOf(name, columns), createdBy: "llmproxy" });
  let values: unknown[][] = columns.map(() => []);
  let rows = 0;
  let characters = 0;

  function gather(row: R): void {
    columns.forEach((column, n) => {
      const value = column.valueOf(row);
      if (typeof value === "string") characters += value.length;
      values[n]!.push(value);
    });
    rows++;
  }

  function writeGroup(): void {
    const columnData = columns.map(({ name, type }, n) => ({
      name,
      data: values[n]!,
      offsetIndex: false,
      // Tools print the footer, so it must not hold what clients chose.
      statistics: type !== "text",
    }));
    void writer.write({ columnData, rowGroupSize: GROUP_ROWS });
    values = columns.map(() => []);
    [rows, characters] = [0, 0];
  }

  /** What has been written since it was last taken. */
  function taken(): Uint8Array<ArrayBuffer> {
    const part = new Uint8Array(bytes.getBytes());
    bytes.index = 0;
    return part;
  }

  return {
    add(more) {
      for (const row of more) {
        gather(row);
        if (rows === GROUP_ROWS || characters >= GROUP_CHARACTERS) writeGroup();
      }
      return taken();
    },
    end() {
      if (rows > 0) writeGroup();
      void writer.finish();
      const last = taken();
      return writer.row_groups.length > 0 ? last : withTypedList(last);
    },
  };
}

/** `num_rows` 0 and the header of an empty list `row_groups`, in Thrift's compact protocol. */
const NO_ROWS = [0x16, 0x00, 0x19];
const LIST_OF_STRUCTS = 0x0c;

/**
 * In a file without rows the writer leaves out the type of its list of groups, and strict readers
 * refuse that.
 */
function withTypedList(file: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const at = file.findLastIndex((_, n) =>
    NO_ROWS.every((byte, place) => file[n + place] === byte) && file[n + NO_ROWS.length] === 0
  );
  if (at >= 0) file[at + NO_ROWS.length] = LIST_OF_STRUCTS;
  return file;
}

function schemaOf<R>(name: string, columns: readonly ParquetColumn<R>[]) {
  const leaves = columns.map(({ name, type, isRequired }) => ({
    name,
    repetition_type: isRequired ? "REQUIRED" as const : "OPTIONAL" as const,
    ...PARQUET_TYPES[type],
  }));
  return [{ name, num_children: leaves.length }, ...leaves];
}

function valueOf(value: unknown, kind: Kind): string | bigint | boolean | null {
  if (value === undefined) return null;
  if (kind === "counts" || kind === "list") return JSON.stringify(value);
  return kind === "text" || kind === "flag" ? value as string | boolean : BigInt(value as number);
}
