/** JSON whose whole numbers may exceed 2^53, which the admin API writes digit by digit. */

/** TypeScript's library lacks them: https://tc39.es/proposal-json-parse-with-source/ */
interface ExactJson {
  readonly parse: (
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ) => unknown;
  readonly rawJSON: (text: string) => object;
}

const EXACT = JSON as unknown as ExactJson;

/** Reads a whole number beyond 2^53 as a bigint. Throws `SyntaxError`. */
export function parseExact(text: string): unknown {
  return EXACT.parse(text, (_, value, { source }) => {
    const isInexact = typeof value === "number" && !Number.isSafeInteger(value) && source !== undefined && /^-?\d+$/.test(source);
    return isInexact ? BigInt(source) : value;
  });
}

/** Writes a bigint as a number. */
export function exactJson(value: unknown): string {
  return JSON.stringify(value, (_, field) => typeof field === "bigint" ? EXACT.rawJSON(String(field)) : field);
}
