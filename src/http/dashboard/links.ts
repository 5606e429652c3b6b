/** The same view with other values in its query; null removes one. */
export function linkTo(url: URL, changes: Readonly<Record<string, string | null>>): string {
  const query = new URLSearchParams(url.searchParams);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return text === "" ? url.pathname : `${url.pathname}?${text}`;
}

/** A path with its parts encoded: `pathTo("traces", id)`. */
export function pathTo(...parts: readonly string[]): string {
  return ["/dashboard", ...parts.map(encodeURIComponent)].join("/");
}

/** The names in a query that say how a table is shown, not what is in it. */
const OF_THE_VIEW = ["format", "table", "order"];

/** The address without those, for the readers of filters, which refuse all they do not know. */
export function withoutView(url: URL): string {
  const rest = new URL(url);
  for (const name of OF_THE_VIEW) rest.searchParams.delete(name);
  return rest.href;
}
