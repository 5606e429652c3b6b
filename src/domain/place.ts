/** Hosts of Vertex AI that are not named after the pattern of the regions. */
const MULTI_REGIONS: Readonly<Record<string, string>> = {
  global: "aiplatform.googleapis.com",
  us: "aiplatform.us.rep.googleapis.com",
  eu: "aiplatform.eu.rep.googleapis.com",
};

/** The base URL of calls to that location: `{location}` in it is filled. */
export function baseUrlAt(baseUrl: string, location: string): string {
  const host = Object.hasOwn(MULTI_REGIONS, location) ? MULTI_REGIONS[location]! : `${location}-aiplatform.googleapis.com`;
  return baseUrl.replace("{location}-aiplatform.googleapis.com", host).replaceAll("{location}", location);
}
