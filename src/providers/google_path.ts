import { Fault } from "../domain/fault.ts";

/** A segment of a path without percent signs; as it is if they cannot be read. */
export function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/**
 * What a query may say. Google's front ends take more parameters on every path
 * (https://cloud.google.com/apis/docs/system-parameters): `fields` leaves the usage out of an
 * answer, `alt=proto` makes it unreadable, `$userProject` bills another project.
 */
const QUERY: ReadonlyMap<string, RegExp> = new Map([
  ["alt", /^(?:sse|json)$/],
  ["prettyPrint", /^(?:true|false)$/],
  ["pageSize", /^\d+$/],
  ["pageToken", /^/],
  ["beta", /^true$/],
]);

/** Refuses as `queryFault`, and a colon as `%3A`: Google could read a method behind it. */
export function targetFault(target: string): Fault | null {
  if (!/^[^?]*%3a/i.test(target)) return queryFault(target);
  return new Fault("path_not_allowed", "A colon in this URL's path is spelled %3A. Write it as it is.");
}

/** Refuses a query that says more. `target` is a path with its query. */
export function queryFault(target: string): Fault | null {
  const at = target.indexOf("?");
  if (at < 0) return null;
  const isOpen = [...new URLSearchParams(target.slice(at + 1))].every(([name, value]) => QUERY.get(name)?.test(value));
  return isOpen ? null : new Fault(
    "path_not_allowed",
    "This URL's query is not open through the proxy. It may have alt=sse, alt=json, prettyPrint, pageSize and pageToken; " +
      "a key belongs in a header.",
  );
}
