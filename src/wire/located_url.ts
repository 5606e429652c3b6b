/**
 * Google's hosts of places that are no regions
 * (https://docs.cloud.google.com/vertex-ai/docs/general/locations).
 */
const GOOGLE_HOSTS: ReadonlyMap<string, string> = new Map([
  ["global", "aiplatform.googleapis.com"],
  ["us", "aiplatform.us.rep.googleapis.com"],
  ["eu", "aiplatform.eu.rep.googleapis.com"],
]);
const GOOGLE_REGION = "{location}-aiplatform.googleapis.com";

/** The base URL with the location in place of `{location}`, or of the whole host at Google. */
export function baseUrlAt(template: string, location: string): string {
  const host = template.includes(GOOGLE_REGION) ? GOOGLE_HOSTS.get(location) : undefined;
  if (host !== undefined) return template.replace(GOOGLE_REGION, host);
  return template.replaceAll("{location}", location);
}
