/** A cell that starts like this is a formula to a spreadsheet (OWASP, CSV injection). */
const FORMULA = /^[=+\-@\t\r]/;
const NEEDS_QUOTES = /[",\r\n]/;

export const CSV_LINE_END = "\r\n";

/**
 * A text that someone else chose, as a cell of CSV (RFC 4180). If a spreadsheet would take it for a
 * formula, it gets a ' in front.
 */
export function csvText(text: string): string {
  return csvQuoted(FORMULA.test(text) ? `'${text}` : text);
}

/** A text of our own as a cell. */
export function csvQuoted(text: string): string {
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
