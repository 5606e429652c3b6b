const RUNTIME = /^https:\/\/bedrock-runtime(?:-fips)?\.([a-z0-9-]+\.amazonaws\.com(?:\.cn)?)(?:\/.*)?$/;
const CONTROL_PLANE = "/inference-profiles";

/**
 * Of AWS's control plane in the region of its host for calls, which has the lists. Null: the base
 * URL is not one of AWS's for calls (https://docs.aws.amazon.com/general/latest/gr/bedrock.html).
 */
export function controlPlaneOf(baseUrl: string): string | null {
  const host = RUNTIME.exec(baseUrl)?.[1];
  return host === undefined ? null : `https://bedrock.${host}`;
}

/** `Provider.baseUrlFor`: a base URL that is not AWS's own serves all paths. */
export function baseUrlFor(baseUrl: string, target: string): string {
  return target.startsWith(CONTROL_PLANE) ? controlPlaneOf(baseUrl) ?? baseUrl : baseUrl;
}
