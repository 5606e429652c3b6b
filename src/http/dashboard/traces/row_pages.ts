import { AdminRefusal, shown } from "../../admin_refusal.ts";

/**
 * A page of rows that are at hand as a whole. Its cursor is the number of rows in front of it.
 * Throws `AdminRefusal` for any other.
 */
export function rowPageOf<Row>(
  rows: readonly Row[],
  { searchParams }: URL,
  { name, size }: { readonly name: string; readonly size: number },
): { readonly rows: readonly Row[]; readonly next: string | null } {
  const text = searchParams.get(`${name}_cursor`) ?? "0";
  if (!/^\d{1,9}$/.test(text)) {
    throw new AdminRefusal(
      "invalid_request_error",
      `Cannot read ${name}_cursor as a number of rows: current value is ${shown(text)}`,
    );
  }
  const end = Number(text) + size;
  return { rows: rows.slice(Number(text), end), next: end < rows.length ? String(end) : null };
}
