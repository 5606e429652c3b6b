/** What a reader sees of a page of the dashboard. */
import assert from "node:assert/strict";

export function textOf(html: string): string {
  return html.replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ").trim();
}

/** The cells of each row of the table with that caption. */
export function rowsIn(html: string, caption: string): readonly (readonly string[])[] {
  const table = html.split("<section").find((part) => part.includes(`<caption>${caption}</caption>`));
  assert.ok(table !== undefined, `there is a table ${caption}`);
  const body = table.split(/<tbody[^>]*>/)[1]!.split("</tbody>")[0]!;
  return body.split("</tr>").slice(0, -1).map((row) => row.split("</td>").slice(0, -1).map(textOf));
}
