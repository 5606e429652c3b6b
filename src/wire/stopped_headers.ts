/** Headers that go no further than the proxy. */
export interface StoppedHeader {
  /** `request`: not sent upstream. `answer`: not sent to the client. */
  readonly direction: "request" | "answer" | "both";
  /** Lower case. A `*` at the end stands for any rest. */
  readonly names: readonly string[];
  /** What the headers are about, for docs/proxy-routes.md. */
  readonly reason: string;
}

/**
 * All headers that stop here, besides credentials and those that `Connection` names (RFC 9110,
 * 7.6.1).
 *
 * A request's headers stop if a hop in front of the proxy wrote them about itself, its client or
 * its user. An answer's stop if they are about the upstream's origin, which is not the proxy's, or
 * command the server in front of the proxy. So do those that name the operator's account, if no
 * client reads them. `cf-ray`, `request-id`, `server` and `via` of an answer pass: they change
 * nothing at the client, and support asks for them. `traceparent`, `b3` and `x-request-id` pass
 * because clients write them too; only load balancers write `x-amzn-trace-id`, so it stops.
 */
export const STOPPED_HEADERS: readonly StoppedHeader[] = [
  stopped(
    "both",
    "one connection (hop-by-hop, RFC 9110 section 7.6.1)",
    `
    connection http2-settings keep-alive proxy-authenticate proxy-authorization proxy-connection
    te trailer transfer-encoding upgrade
  `,
  ),
  stopped(
    "request",
    "one connection: the proxy frames its own request and asks for uncompressed bytes",
    `
    host content-length expect accept-encoding
  `,
  ),
  stopped(
    "request",
    "the way to the proxy: addresses, names, schemes and paths",
    `
    forwarded via x-forwarded x-forwarded-* x-original-* x-rewrite-url x-scheme early-data
    alt-used
  `,
  ),
  stopped(
    "request",
    "the client's address",
    `
    true-client-ip x-true-client-ip x-real-ip x-real-port x-client-ip x-client-port
    x-cluster-client-ip x-remote-ip x-remote-addr x-originating-ip x-proxyuser-ip client-ip
    proxy-client-ip wl-proxy-client-ip ali-cdn-real-ip do-connecting-ip incap-client-ip
    x-sucuri-clientip x-source-ip
  `,
  ),
  stopped(
    "request",
    "the edge network in front of the proxy",
    `
    cf-* cdn-loop fastly-* akamai-* x-akamai-* cloudfront-* x-amz-cf-id x-azure-* x-fd-healthprobe
    x-arr-* disguised-host fly-* x-vercel-* x-nf-* x-appengine-* surrogate-capability
  `,
  ),
  stopped(
    "request",
    "the load balancer or mesh in front of the proxy",
    `
    x-envoy-* x-amzn-trace-id x-amzn-tls-* x-amzn-mtls-* x-cloud-trace-context x-request-start
    x-queue-start ssl-client-* x-ssl-* x-client-cert*
  `,
  ),
  stopped(
    "request",
    "the user, as a login in front of the proxy knows them",
    `
    x-amzn-oidc-* x-goog-iap-* x-goog-authenticated-user-* x-ms-client-principal* x-auth-request-*
    x-pomerium-* tailscale-* remote-user x-remote-user x-webauth-user x-user-email
    x-authenticated-userid cookie cookie2
  `,
  ),
  stopped(
    "request",
    "a signature of the client's own keys of AWS, which would stand beside the operator's",
    `
    x-amz-date x-amz-security-token x-amz-content-sha256
  `,
  ),
  stopped(
    "request",
    "what costs more at Amazon Bedrock, and no answer says that it was served",
    `
    x-amzn-bedrock-guardrail* x-amzn-bedrock-performanceconfig-*
  `,
  ),
  stopped(
    "request",
    "who else pays, which fields an answer leaves out, and another method than the request's",
    `
    x-goog-user-project x-goog-fieldmask x-http-method-override x-http-method x-method-override
  `,
  ),
  stopped(
    "answer",
    "the upstream's origin: clients would hold it against the proxy's",
    `
    alt-svc strict-transport-security nel report-to reporting-endpoints expect-ct public-key-pins
    public-key-pins-report-only clear-site-data origin-agent-cluster accept-ch critical-ch
    set-cookie set-cookie2
  `,
  ),
  stopped(
    "answer",
    "the operator's account, as OpenAI names it",
    `
    openai-organization openai-project
  `,
  ),
  stopped(
    "answer",
    "a command to the server in front, which would answer with another file",
    `
    x-accel-redirect x-sendfile x-lighttpd-send-file x-reproxy-url
  `,
  ),
];

/**
 * Whether a header, named in lower case, stops in that direction. Some servers write `_` for `-`.
 */
export function stopsHere(name: string, direction: "request" | "answer"): boolean {
  return PATTERNS[direction].test(name.replaceAll("_", "-"));
}

const PATTERNS = { request: patternOf("request"), answer: patternOf("answer") } as const;

function patternOf(direction: "request" | "answer"): RegExp {
  const names = STOPPED_HEADERS.filter((row) => [direction, "both"].includes(row.direction)).flatMap((row) => row.names);
  return new RegExp(`^(?:${names.map((name) => name.replace(/\*$/, ".*")).join("|")})$`);
}

/** `names`: between white space. */
function stopped(direction: StoppedHeader["direction"], reason: string, names: string): StoppedHeader {
  return { direction, reason, names: names.trim().split(/\s+/) };
}
