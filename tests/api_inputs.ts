/** Seeded inputs for the operations of an OpenAPI document: valid ones and invalid ones. */
import type { ApiDocument, Operation, Parameter, Schema } from "./api_document.ts";

export interface Input {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** Why the document refuses it; null if it does not. */
  readonly isWrong: string | null;
}

export interface InputOptions {
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly api: ApiDocument;
  /** Values of the program that was asked before, such as ids. */
  readonly known: readonly string[];
}

/** How often a value is invalid, an optional one is given, and something odd is added. */
const [WRONG, GIVEN, ODD] = [0.06, 0.3, 0.02];
/** Longer than any body may be. */
const TOO_LONG = 3_000_000;

/** That no database compresses. */
const LONG = Array.from({ length: 1_000 }, (_, n) => Math.sin(n).toString(36).slice(-8)).join("");

const TEXTS = [
  ..."w1,s1,claude-haiku-4-5,completed,exact,activity,cost.asc,time,requests.desc,tokens,true,false,csv,ndjson".split(","),
  ...[
    "2020-01-01T00:00:00Z",
    "2026-01-31T12:00:00.123456Z",
    "2031-01-01T00:00:00+05:30",
    "2026-01-31T12:00Z",
    "2026-02-30T00:00:00Z",
  ],
  ...[
    "",
    " ",
    "a b",
    "\u0000",
    "\u007f",
    "é",
    "漢字",
    "\ud83d\ude00",
    "' OR 1=1 --",
    '"; DROP TABLE audit; --',
    "%",
    "_",
    "../x",
  ],
  ...[
    "0",
    "1",
    "-1",
    "1000",
    "1001",
    "1.5",
    "1e3",
    "9007199254740991",
    "9007199254740992",
    "99999999999999999999",
    "NaN",
    "null",
  ],
  ...["__proto__", "constructor", "x".repeat(257), "x".repeat(5_000), LONG],
];
const OTHERS: readonly unknown[] = [null, true, 0, -1, 1.5, 2 ** 53, 1e300, [], {}, [[]], { a: 1 }, ["w1"], ...TEXTS];

export class Inputs {
  readonly #options: InputOptions;
  readonly #texts: readonly string[];

  constructor(options: InputOptions) {
    this.#options = options;
    this.#texts = [...TEXTS, ...options.known, ...options.known];
  }

  /** `authorization`: the header that the document's security asks for. */
  of(
    path: string,
    method: string,
    { operation, authorization }: { readonly operation: Operation; readonly authorization: string },
  ): Input {
    const wrong: string[] = [];
    const headers: Record<string, string> = { authorization };
    let target = path;
    const query: string[] = [];
    for (const parameter of operation.parameters ?? []) {
      if (parameter.in === "path") {
        target = target.replace(`{${parameter.name}}`, encodeURIComponent(this.#one(this.#texts) || "x"));
      } else if (parameter.required ? this.#happens(0.9) : this.#happens(GIVEN)) {
        const text = this.#textFor(parameter, wrong);
        if (parameter.in === "header") headers[parameter.name] = text;
        else query.push(`${parameter.name}=${encodeURIComponent(text)}`);
      } else if (parameter.required) wrong.push(`${parameter.name} is missing`);
    }
    if (query.length > 0 && this.#happens(ODD)) {
      query.push(query[0]!);
      wrong.push("a filter twice");
    }
    if (operation.parameters?.some((parameter) => parameter.in === "query") && this.#happens(ODD)) {
      query.push(this.#one(["unknown=1", "%ff=1", "since=%ff", "=", "limit"]));
      wrong.push("an odd query");
    }
    if (this.#happens(0.2)) headers.accept = this.#one(["application/x-ndjson", "application/json", "text/html", "*/*"]);
    const body = operation.requestBody === undefined || (operation.requestBody.required !== true && this.#happens(0.3))
      ? null
      : this.#body(operation.requestBody.content["application/json"].schema, wrong);
    const asked = query.length === 0 ? target : `${target}?${query.join("&")}`;
    return { method: method.toUpperCase(), target: asked, headers, body, isWrong: wrong.length === 0 ? null : wrong.join(", ") };
  }

  #textFor({ name, schema, in: place }: Parameter, wrong: string[]): string {
    const { api } = this.#options;
    const isWrong = this.#happens(WRONG);
    // A header has no other characters, and no blanks at its ends.
    const texts = place === "header" ? this.#texts.filter((text) => /^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(text)) : this.#texts;
    const fitting = texts.filter((text) => api.takes(schema, valueOf(text, schema)) !== isWrong);
    if (isWrong && fitting.length > 0) {
      wrong.push(`${name} is invalid`);
      return this.#one(fitting);
    }
    return this.#happens(0.5) && fitting.length > 0 && !isWrong ? this.#one(fitting) : textOf(this.#value(schema));
  }

  #body(schema: Schema, wrong: string[]): string {
    const { api } = this.#options;
    if (this.#happens(ODD)) {
      wrong.push("no JSON");
      return this.#one([" ", "{", "\u0000", '{"a":', "x".repeat(100), " ".repeat(TOO_LONG)]);
    }
    const value = this.#value(schema);
    const changed = this.#happens(0.3) ? this.#changed(value) : value;
    if (!api.takes(schema, changed)) wrong.push("the body is invalid");
    return JSON.stringify(changed);
  }

  /** The value with something of it replaced, left out or added. */
  #changed(value: unknown): unknown {
    if (this.#happens(0.2) || typeof value !== "object" || value === null) return this.#one(OTHERS);
    if (Array.isArray(value)) {
      if (value.length === 0 || this.#happens(0.3)) return [...value, this.#one(OTHERS)];
      const at = Math.floor(this.#options.random() * value.length);
      return value.with(at, this.#changed(value[at]));
    }
    const entries = Object.entries(value);
    if (entries.length === 0 || this.#happens(0.2)) return { ...value, [this.#one(TEXTS)]: this.#one(OTHERS) };
    const [key, held] = this.#one(entries);
    if (this.#happens(0.3)) return Object.fromEntries(entries.filter(([name]) => name !== key));
    return { ...value, [key]: this.#changed(held) };
  }

  /** A value that the schema takes, as far as a pool of texts has one. */
  #value(schema: Schema): unknown {
    const { random, api } = this.#options;
    const { type, anyOf, enum: values, minimum = 0, maximum = 1e6, items, properties, required = [], maxItems = 4 } = schema as {
      readonly type?: string;
      readonly anyOf?: readonly Schema[];
      readonly enum?: readonly unknown[];
      readonly minimum?: number;
      readonly maximum?: number;
      readonly items?: Schema;
      readonly properties?: Readonly<Record<string, Schema>>;
      readonly required?: readonly string[];
      readonly maxItems?: number;
    };
    if (anyOf !== undefined) return this.#value(this.#one(anyOf));
    if (values !== undefined) return this.#one(values);
    if (type === "null") return null;
    if (type === "boolean") return this.#happens(0.5);
    if (type === "integer" || type === "number") return Math.floor(minimum + random() ** 4 * (maximum - minimum));
    if (type === "array") {
      return Array.from({ length: 1 + Math.floor(random() * Math.min(maxItems, 4)) }, () => this.#value(items!));
    }
    if (type === "object") {
      const kept = Object.entries(properties ?? {}).filter(([name]) => required.includes(name) || this.#happens(0.6));
      return Object.fromEntries(kept.map(([name, inner]) => [name, this.#value(inner)]));
    }
    const fitting = this.#texts.filter((text) => api.takes(schema, text));
    return fitting.length === 0 ? "x" : this.#one(fitting);
  }

  #happens(part: number): boolean {
    return this.#options.random() < part;
  }

  #one<T>(all: readonly T[]): T {
    return all[Math.floor(this.#options.random() * all.length)]!;
  }
}

/** A parameter's text as JSON, by OpenAPI's styles. */
function valueOf(text: string, { type }: Schema): unknown {
  if (type === "integer") return /^\d+$/.test(text) ? Number(text) : text;
  if (type === "boolean") return text === "true" ? true : text === "false" ? false : text;
  return type === "array" ? text.split(",") : text;
}

function textOf(value: unknown): string {
  return Array.isArray(value) ? value.join(",") : String(value);
}
