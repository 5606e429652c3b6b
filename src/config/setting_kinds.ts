import { z } from "zod";

/** One row of a table of settings. */
export interface Setting<T> {
  /** Reads the variable's text. Its message is what stands after "as" in `Cannot read X as …`. */
  readonly schema: z.ZodType<T, string>;
  /** As it would be written in the environment; empty: no default. */
  readonly default: string;
  /** A secret may come from the file that `NAME_FILE` names, and its value is never shown. */
  readonly isSecret: boolean;
  readonly meaning: string;
}

export const BYTES_PER_MB = 1_048_576;
export const VISIBLE_ASCII = /^[\x21-\x7e]+$/;
/** RFC 9110, 5.6.2: the characters of a field name. */
export const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

export function setting<T>(schema: z.ZodType<T, string>, byDefault: string, meaning: string): Setting<T> {
  return { schema, default: byDefault, isSecret: false, meaning };
}

export function optional<T>(schema: z.ZodType<T, string>, meaning: string): Setting<T | null> {
  return { schema, default: "", isSecret: false, meaning };
}

export function secret(schema: z.ZodType<string, string>, meaning: string): Setting<string | null> {
  return { schema, default: "", isSecret: true, meaning };
}

/** `read` returns null for what it cannot read. */
export function parsed<T>(expects: string, read: (text: string) => T | null): z.ZodType<T, string> {
  return z.string().transform((text, context) => {
    const value = read(text);
    if (value !== null) return value;
    context.addIssue(expects);
    return z.NEVER;
  });
}

export function oneOf<const T extends readonly [string, ...string[]]>(...allowed: T) {
  return parsed<T[number]>(`one of ${allowed.join(", ")}`, (text) => allowed.find((item) => item === text) ?? null);
}

export function path(of: string) {
  return parsed(`the path of ${of}`, (text) => text.includes("\0") ? null : text);
}

/** A whole number of `name`, each of which is `unit` milliseconds or bytes. */
export function whole(name: string, { min, max, unit }: { readonly min: number; readonly max: number; readonly unit: number }) {
  return parsed(`a whole number of ${name} from ${min} to ${max}`, (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : -1;
    return value >= min && value <= max ? value * unit : null;
  });
}

export function seconds(min: number) {
  return whole("seconds", { min, max: 86_400, unit: 1_000 });
}

export function hours(min: number) {
  return whole("hours", { min, max: 8_760, unit: 3_600_000 });
}

export function megabytes(min: number) {
  return whole("megabytes", { min, max: 1_048_576, unit: BYTES_PER_MB });
}

/** The URL's text without trailing slashes, so that a path can follow it. */
export function readUrl(text: string): string | null {
  const url = VISIBLE_ASCII.test(text) ? URL.parse(text) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol)) return null;
  if (url.username !== "" || url.password !== "" || /[?#@\\]/.test(text)) return null;
  return url.href.replace(/\/+$/, "");
}

export function readList(text: string, accepts: (item: string) => boolean): readonly string[] | null {
  const items = text.split(",").map((item) => item.trim()).filter((item) => item !== "");
  return items.every(accepts) ? items : null;
}

export const url = parsed("an http or https URL without credentials, query or fragment", readUrl);
