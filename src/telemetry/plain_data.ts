import { REDACTED, type Redactor } from "./redact.ts";

/** Bounds of one log record: what lies beyond is left out, and said so. */
const MAX_DEPTH = 8;
const MAX_ITEMS = 100;
const MAX_CHARACTERS = 65_536;
/** What a value takes of `MAX_CHARACTERS` besides its text. */
const VALUE_COST = 8;
const MAX_CAUSES = 6;

export interface PlainOptions {
  readonly redactor: Redactor;
  /** Whether errors show their stacks. */
  readonly withStacks: boolean;
}

/** A copy as plain JSON data: bounded, without cycles and accessors, without credentials in any name or value. */
export function plainRecord(
  fields: Readonly<Record<string, unknown>>,
  options: PlainOptions,
): Record<string, unknown> {
  return copyRecord(fields, { ...options, above: [fields], budget: { characters: MAX_CHARACTERS } });
}

interface Walk extends PlainOptions {
  /** The objects that this one lies within, the outermost first. */
  readonly above: readonly object[];
  /** How much more the record may take: what is shared in many places is copied to each. */
  readonly budget: { characters: number };
}

function plain(value: unknown, walk: Walk): unknown {
  if (walk.budget.characters <= 0) return "[left out]";
  walk.budget.characters -= VALUE_COST;
  switch (typeof value) {
    case "string":
      return plainText(value, walk);
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "boolean":
      return value;
    case "bigint":
      return String(value);
    case "object":
      return value === null ? null : plainObjectSafely(value, walk);
    case "undefined":
      return undefined;
    default:
      return `[${typeof value}]`;
  }
}

function plainText(value: string, walk: Walk): string {
  const text = walk.redactor.text(value);
  walk.budget.characters -= text.length;
  return text;
}

/** Proxies and accessors may throw. */
function plainObjectSafely(value: object, walk: Walk): unknown {
  try {
    return plainObject(value, walk);
  } catch {
    return "[unreadable]";
  }
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
  if (value instanceof Map || value instanceof Headers) {
    return copyRecord(Object.fromEntries([...value].slice(0, MAX_ITEMS + 1).map(([key, item]) => [String(key), item])), inner);
  }
  if (value instanceof Set) return copyArray([...value].slice(0, MAX_ITEMS + 1), inner);
  return copyRecord(value as Record<string, unknown>, inner);
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
    const value = read(record, name);
    walk.budget.characters -= shown.length;
    const isHidden = isSecret && value !== undefined && value !== null;
    copy[shown] = isHidden ? REDACTED : plain(value, walk);
  }
  if (names.length > MAX_ITEMS) copy["…"] = `${names.length - MAX_ITEMS} more left out`;
  return copy;
}

/** One accessor that throws costs its own value only. */
function read(record: Readonly<Record<string, unknown>>, name: string): unknown {
  try {
    return record[name];
  } catch {
    return "[unreadable]";
  }
}

/** Name, message, code and causes; the causes within causes are bounded by `MAX_CAUSES` and by the depth. */
function plainError(error: Error, walk: Walk): Record<string, unknown> {
  const source = error as unknown as Readonly<Record<string, unknown>>;
  const shown: Record<string, unknown> = {
    name: plain(read(source, "name"), walk),
    message: plain(read(source, "message"), walk),
  };
  const code = read(source, "code");
  if (code !== undefined) shown["code"] = plain(code, walk);
  if (walk.withStacks) shown["stack"] = plain(read(source, "stack"), walk);
  const cause = read(source, "cause");
  if (cause !== undefined) shown["cause"] = plain(cause, walk);
  const errors = read(source, "errors");
  if (Array.isArray(errors)) shown["errors"] = errors.slice(0, MAX_CAUSES).map((each) => plain(each, walk));
  return shown;
}
