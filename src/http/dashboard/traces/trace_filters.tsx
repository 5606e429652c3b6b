/** The fields of the search, by their name in the query. */
const FIELDS = [
  { name: "trace_prefix", label: "Trace id begins with" },
  { name: "workspace_id", label: "Workspace" },
  { name: "sandbox_id", label: "Sandbox" },
  { name: "client", label: "Agent", placeholder: "claude-code" },
  { name: "upstream", label: "Upstream" },
  { name: "model", label: "Model" },
  { name: "min_cost", label: "Cost at least, in $", inputmode: "decimal" },
] as const;

/** The search of the list. What the page's address has besides the fields stays as it is. */
export function TraceFilters({ url }: { readonly url: URL }) {
  const own: readonly string[] = [...FIELDS.map(({ name }) => name), "failed", "cursor", "format", "table"];
  const kept = [...url.searchParams].filter(([name]) => !own.includes(name));
  return (
    <form method="get" class="search" role="search">
      {kept.map(([name, value]) => <input type="hidden" name={name} value={value} />)}
      {FIELDS.map(({ name, label, ...more }) => (
        <label>
          <span>{label}</span>
          <input type="text" name={name} value={url.searchParams.get(name) ?? ""} maxlength={256} autocomplete="off" {...more} />
        </label>
      ))}
      <label class="check">
        <input type="checkbox" name="failed" value="true" checked={url.searchParams.get("failed") === "true"} />
        <span>With failures</span>
      </label>
      <div>
        <button type="submit">Search</button> <a href="/dashboard/traces">Clear</a>
      </div>
    </form>
  );
}
