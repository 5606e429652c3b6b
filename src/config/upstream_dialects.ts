import type { Provider } from "../domain/provider.ts";
import { BILLINGS } from "../providers/billings.ts";
import * as providers from "../providers/providers.ts";

/** The keys of a credential that say how it pays. */
export const PAYMENTS = ["key", "aws", "google"] as const;

/** By name, in the order of their table. */
export const DIALECTS: ReadonlyMap<string, Provider> = new Map(
  Object.values<Provider>(providers).map((dialect) => [dialect.name, dialect]),
);

/** Who bills calls. */
export const SELLERS: readonly string[] = [...BILLINGS.keys()];

/** At all of Bedrock's hosts and dialects. */
export const BEDROCK_KEY = { keyHeader: { header: "authorization", prefix: "Bearer " }, keyVariable: "AWS_BEARER_TOKEN_BEDROCK" };

const READ_ON_MS = 120_000;

/**
 * How long a stream is read whose client has left. Reading on costs nothing if the seller bills an
 * interrupted call in full, and it tells what was used.
 */
export function readOnMsOf(seller: string): number {
  return BILLINGS.get(seller)?.billsInterrupted === true ? READ_ON_MS : 0;
}

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
