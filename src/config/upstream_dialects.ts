/** Who bills calls, by the names of OpenTelemetry's `gen_ai.provider.name`. */
export const SELLERS = ["anthropic", "openai", "aws.bedrock", "gcp.vertex_ai", "gcp.gemini"] as const;
export type Seller = (typeof SELLERS)[number];

/** The keys of a credential that say how it pays. */
export const PAYMENTS = ["key", "aws", "google"] as const;

/** What an entry of the upstreams' file may leave out, and what it may say, by its dialect. */
export interface DialectDefaults {
  /** `{region}` and `{location}` stand for the upstream's. */
  readonly baseUrl: string;
  readonly seller: Seller;
  readonly pays: readonly (typeof PAYMENTS)[number][];
  readonly keyHeader: (typeof KEY_HEADERS)[keyof typeof KEY_HEADERS];
  /** The variable in which operators know the key; a copy may begin with it. */
  readonly keyVariable: string;
  /** Paths that the proxy adds to the base URL itself. */
  readonly addedPath: RegExp;
}

export const KEY_HEADERS = {
  apiKey: { header: "x-api-key", prefix: "" },
  bearer: { header: "authorization", prefix: "Bearer " },
  google: { header: "x-goog-api-key", prefix: "" },
} as const;

export const DIALECTS = {
  anthropic: {
    baseUrl: "https://api.anthropic.com",
    seller: "anthropic",
    pays: ["key", "aws"],
    keyHeader: KEY_HEADERS.apiKey,
    keyVariable: "ANTHROPIC_API_KEY",
    addedPath: /\/v1(\/(messages|complete|models|files)(\/.*)?)?$/i,
  },
  openai: {
    baseUrl: "https://api.openai.com",
    seller: "openai",
    pays: ["key", "aws"],
    keyHeader: KEY_HEADERS.bearer,
    keyVariable: "OPENAI_API_KEY",
    addedPath: /\/v1(\/(responses|chat|models|files)(\/.*)?)?$/i,
  },
  bedrock: {
    baseUrl: "https://bedrock-runtime.{region}.amazonaws.com",
    seller: "aws.bedrock",
    pays: ["key", "aws"],
    keyHeader: KEY_HEADERS.bearer,
    keyVariable: "AWS_BEARER_TOKEN_BEDROCK",
    addedPath: /\/model(\/.*)?$/i,
  },
  vertex: {
    baseUrl: "https://{location}-aiplatform.googleapis.com",
    seller: "gcp.vertex_ai",
    pays: ["key", "google"],
    keyHeader: KEY_HEADERS.bearer,
    keyVariable: "ANTHROPIC_AUTH_TOKEN",
    addedPath: /\/v1(\/projects(\/.*)?)?$/i,
  },
  gemini: {
    baseUrl: "https://generativelanguage.googleapis.com",
    seller: "gcp.gemini",
    pays: ["key", "google"],
    keyHeader: KEY_HEADERS.google,
    keyVariable: "GEMINI_API_KEY",
    addedPath: /\/v1(beta)?(\/models(\/.*)?)?$/i,
  },
} as const satisfies Readonly<Record<string, DialectDefaults>>;

export type DialectName = keyof typeof DIALECTS;
export const DIALECT_NAMES = Object.keys(DIALECTS) as readonly DialectName[] as readonly [DialectName, ...DialectName[]];

/**
 * How long a stream is read whose client has left, by who bills it. Those with a time bill an
 * interrupted call in full, so that reading on costs nothing and tells what was used.
 */
export const READ_ON_MS: Readonly<Record<Seller, number>> = {
  anthropic: 0,
  openai: 120_000,
  "aws.bedrock": 120_000,
  "gcp.vertex_ai": 0,
  "gcp.gemini": 120_000,
};

const AWS_HOST = /\.(?:amazonaws\.com(?:\.cn)?|api\.aws)$/;

/**
 * Services of AWS by the beginnings of their hosts, and the names for which their requests are
 * signed. The last one is Anthropic's own platform: AWS collects the money, at Anthropic's prices.
 * https://docs.aws.amazon.com/claude-platform/latest/userguide/authentication.html
 */
const AWS_SERVICES = [
  { host: /^bedrock-mantle$/, service: "bedrock-mantle", isBedrock: true },
  { host: /^bedrock-/, service: "bedrock", isBedrock: true },
  { host: /^aws-external-anthropic$/, service: "aws-external-anthropic", isBedrock: false },
] as const;

export interface AwsHost {
  /** Null: the host does not tell. */
  readonly region: string | null;
  /** Null: another service of AWS. */
  readonly service: (typeof AWS_SERVICES)[number] | null;
}

/** What a host of AWS says of itself; null: it is another's, such as a gateway in front. */
export function awsHostOf(baseUrl: string): AwsHost | null {
  const hostname = URL.parse(baseUrl)?.hostname ?? "";
  if (!AWS_HOST.test(hostname)) return null;
  const labels = hostname.split(".");
  return {
    region: labels.find((label) => /^[a-z]{2,4}(-[a-z]+){1,3}-\d{1,2}$/.test(label)) ?? null,
    service: AWS_SERVICES.find(({ host }) => labels.some((label) => host.test(label))) ?? null,
  };
}
