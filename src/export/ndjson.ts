import { costUsd } from "../domain/money.ts";
import type { UsageRecord } from "../domain/usage_record.ts";
import { COLUMNS, type Kind } from "./columns.ts";
import type { UsageEncoder } from "./encoder.ts";

/** One JSON object a line (https://github.com/ndjson/ndjson-spec); what a row does not have is left out. */
export function ndjsonEncoder(): UsageEncoder {
  const encoder = new TextEncoder();
  return {
    add: (rows) => encoder.encode(rows.map((row) => `${JSON.stringify(objectOf(row))}\n`).join("")),
    end: () => new Uint8Array(),
  };
}

function objectOf(row: UsageRecord): Readonly<Record<string, unknown>> {
  const object: Record<string, unknown> = {};
  for (const { name, key, kind } of COLUMNS) {
    const value = row[key];
    if (value !== undefined) object[name] = jsonOf(value, kind);
  }
  return object;
}

function jsonOf(value: unknown, kind: Kind): unknown {
  if (kind === "money") return costUsd(value as number);
  return kind === "time" ? new Date(value as number).toISOString() : value;
}
