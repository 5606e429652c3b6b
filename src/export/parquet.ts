import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import type { Kind } from "../domain/usage_columns.ts";
import type { UsageRecord } from "../domain/usage_record.ts";
import { COLUMNS, fieldOf, type UsageEncoder } from "./columns.ts";

/**
 * At most so much is in a group, which is held until it is complete. Each adds some 5 KB to the
 * file's footer.
 */
const GROUP_ROWS = 2_500;
const GROUP_CHARACTERS = 5_000_000;

const TEXT = { type: "BYTE_ARRAY", converted_type: "UTF8" } as const;

const TYPES = {
  text: TEXT,
  counts: TEXT,
  list: TEXT,
  count: { type: "INT64" },
  ms: { type: "INT64" },
  flag: { type: "BOOLEAN" },
  time: { type: "INT64", converted_type: "TIMESTAMP_MILLIS" },
  // Nine places are nano-dollars: the integer is what is stored, and readers add it up exactly.
  money: { type: "INT64", converted_type: "DECIMAL", precision: 18, scale: 9 },
} as const satisfies Record<Kind, object>;

/**
 * Parquet (https://parquet.apache.org/docs/file-format/), Snappy, in row groups of bounded size.
 */
export function parquetEncoder(): UsageEncoder {
  const bytes = new ByteWriter();
  const writer = new ParquetWriter({ writer: bytes, schema: schemaOf(), createdBy: "llmproxy" });
  let columns: unknown[][] = COLUMNS.map(() => []);
  let rows = 0;
  let characters = 0;

  function gather(row: UsageRecord): void {
    COLUMNS.forEach((column, n) => {
      const value = valueOf(fieldOf(row, column), column.kind);
      if (typeof value === "string") characters += value.length;
      columns[n]!.push(value);
    });
    rows++;
  }

  function writeGroup(): void {
    const columnData = COLUMNS.map(({ jsonKey, kind }, n) => ({
      name: jsonKey,
      data: columns[n]!,
      offsetIndex: false,
      // Tools print the footer, so it must not hold what clients chose.
      statistics: TYPES[kind] !== TEXT,
    }));
    void writer.write({ columnData, rowGroupSize: GROUP_ROWS });
    columns = COLUMNS.map(() => []);
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

function schemaOf() {
  const leaves = COLUMNS.map(({ jsonKey, kind, isAlwaysShown }) => ({
    name: jsonKey,
    repetition_type: isAlwaysShown ? "REQUIRED" as const : "OPTIONAL" as const,
    ...TYPES[kind],
  }));
  return [{ name: "usage", num_children: leaves.length }, ...leaves];
}

function valueOf(value: unknown, kind: Kind): unknown {
  if (value === undefined) return null;
  if (kind === "counts" || kind === "list") return JSON.stringify(value);
  return kind === "text" || kind === "flag" ? value : BigInt(value as number);
}
