import { REDACTED, type Redactor } from "./redact.ts";

/** Bounds of one log record. The copy says what it leaves out. */
const MAX_DEPTH = 8;
const MAX_ITEMS = 100;
const MAX_CHARACTERS = 65_536;
/** A value takes so many of `MAX_CHARACTERS` besides its text. */
const VALUE_COST = 8;
const MAX_CAUSES = 6;

export interface PlainOptions {
  readonly redactor: Redactor;
  readonly withStacks: boolean;
}

interface Walk extends PlainOptions {
  /** The objects around this value, the outermost first. */
  readonly above: readonly object[];
  /** Shared by the whole record, because a value in many places is copied to each. */
  readonly budget: { characters: number };
}

/**
 * A copy as plain JSON data: bounded, without cycles and functions, without credentials in any name
 * or value. It calls no `toJSON`. A getter that throws costs its own value only.
 */
export function plainRecord(fields: Readonly<Record<string, unknown>>, options: PlainOptions): Record<string, unknown> {
  return copyRecord(fields, { ...options, above: [fields], budget: { characters: MAX_CHARACTERS } });
}

function plain(value: unknown, walk: Walk): unknown {
  if (walk.budget.characters <= 0) return "[left out]";
  walk.budget.characters -= VALUE_COST;
  switch (typeof value) {
    case "string":
      return plainText(value, walk);
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "bigint":
      return String(value);
    case "boolean":
    case "undefined":
      return value;
    case "object":
      // A proxy may throw.
      return value === null ? null : safely(() => plainObject(value, walk));
    default:
      return `[${typeof value}]`;
  }
}

function plainText(value: string, walk: Walk): string {
  const text = walk.redactor.text(value);
  walk.budget.characters -= text.length;
  return text;
}

function plainObject(value: object, walk: Walk): unknown {
  if (walk.above.includes(value)) return "[circular]";
  if (walk.above.length >= MAX_DEPTH) return "[too deep]";
  const inner = { ...walk, above: [...walk.above, value] };
  if (value instanceof Error) return plainError(value, inner);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "[invalid date]" : value.toISOString();
  if (value instanceof URL) return plainText(value.href, walk);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return copyArray(value, inner);
  if (value instanceof Set) return copyArray([...value], inner);
  const isMap = value instanceof Map || value instanceof Headers;
  return copyRecord(
    isMap ? Object.fromEntries([...value].map(([key, item]) => [String(key), item])) : value as Record<string, unknown>,
    inner,
  );
}

function copyArray(items: readonly unknown[], walk: Walk): unknown[] {
  const copy = items.slice(0, MAX_ITEMS).map((item) => plain(item, walk) ?? null);
  if (items.length > MAX_ITEMS) copy.push("[more left out]");
  return copy;
}

function copyRecord(record: Readonly<Record<string, unknown>>, walk: Walk): Record<string, unknown> {
  // Without a prototype, so that a name such as __proto__ is a name like any other.
  const copy: Record<string, unknown> = Object.create(null);
  const names = Object.keys(record);
  for (const name of names.slice(0, MAX_ITEMS)) {
    const { shown, isSecret } = walk.redactor.name(name);
    const value = safely(() => record[name]);
    walk.budget.characters -= shown.length;
    copy[shown] = isSecret && value !== undefined && value !== null ? REDACTED : plain(value, walk);
  }
  if (names.length > MAX_ITEMS) copy["…"] = `${names.length - MAX_ITEMS} more left out`;
  return copy;
}

function plainError(error: Error, walk: Walk): Record<string, unknown> {
  const names = ["name", "message", "code", ...(walk.withStacks ? ["stack"] : []), "cause", "errors"];
  const shown: Record<string, unknown> = {};
  for (const name of names) {
    const value = safely(() => Reflect.get(error, name));
    if (name === "errors" && !Array.isArray(value)) continue;
    if (value !== undefined) shown[name] = plain(name === "errors" ? value.slice(0, MAX_CAUSES) : value, walk);
  }
  return shown;
}

function safely<T>(read: () => T): T | "[unreadable]" {
  try {
    return read();
  } catch {
    return "[unreadable]";
  }
}
