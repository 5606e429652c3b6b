import { csvText } from "../../domain/csv.ts";
import type { UsageRecord } from "../../domain/usage_record.ts";
import { csvTable } from "../csv.ts";
import { parquetTable } from "../parquet.ts";
import type { RowEncoder } from "../row_encoder.ts";
import { type FocusCharge, focusCharges, type TariffOf } from "./charges.ts";
import { FOCUS_COLUMNS, type FocusColumn } from "./columns.ts";

const ATTO_PLACES = 18;
const PARQUET_TYPES = { text: "text", time: "time", decimal: "attoDecimal" } as const;

export function focusCsvEncoder(tariffOf: TariffOf): RowEncoder<UsageRecord> {
  return byTheHour(
    tariffOf,
    csvTable(FOCUS_COLUMNS.map(({ name, kind, valueOf }) => ({ name, cellOf: (charge) => cellOf(valueOf(charge), kind) }))),
  );
}

export function focusParquetEncoder(tariffOf: TariffOf): RowEncoder<UsageRecord> {
  return byTheHour(
    tariffOf,
    parquetTable(
      "cost_and_usage",
      FOCUS_COLUMNS.map(({ name, kind, isNullable, valueOf }) => ({
        ...{ name, type: PARQUET_TYPES[kind], isRequired: !isNullable },
        valueOf: (charge: FocusCharge) => {
          const value = valueOf(charge);
          return typeof value === "number" ? BigInt(value) : value;
        },
      })),
    ),
  );
}

function byTheHour(tariffOf: TariffOf, table: RowEncoder<FocusCharge>): RowEncoder<UsageRecord> {
  const charges = focusCharges(tariffOf);
  return {
    add: (rows) => {
      const over = charges.add(rows);
      return over.length === 0 ? new Uint8Array() : table.add(over);
    },
    end: () => {
      const [last, end] = [table.add(charges.end()), table.end()];
      const whole = new Uint8Array(last.length + end.length);
      whole.set(last);
      whole.set(end, last.length);
      return whole;
    },
  };
}

function cellOf(value: ReturnType<FocusColumn["valueOf"]>, kind: FocusColumn["kind"]): string {
  if (value === null) return "";
  if (kind === "decimal") return decimalOf(value as bigint);
  // FOCUS has times without fractions of a second.
  return kind === "time" ? new Date(value as number).toISOString().replace(".000Z", "Z") : csvText(value as string);
}

/** Atto as a decimal without zeros at its end: `"0.0000025"`, `"3"`. */
function decimalOf(atto: bigint): string {
  const digits = String(atto).padStart(ATTO_PLACES + 1, "0");
  const fraction = digits.slice(-ATTO_PLACES).replace(/0+$/, "");
  return `${digits.slice(0, -ATTO_PLACES)}${fraction === "" ? "" : `.${fraction}`}`;
}
