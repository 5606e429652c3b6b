import { timeLimit } from "../../async/deadline.ts";
import { askUpstream } from "../../batches/own_request.ts";
import type { Config } from "../../config/config.ts";
import type { Provider } from "../../domain/provider.ts";
import type { Credential, Payment, UpstreamConfig } from "../../domain/upstream.ts";
import * as dialects from "../../providers/providers.ts";
import { isUnknownToAws } from "../../upstream/aws.ts";
import { paymentOf } from "../../upstream/payment.ts";
import { controlPlaneOf } from "../../providers/bedrock/hosts.ts";
import { baseUrlAt } from "../../wire/located_url.ts";
import { type HttpClients, upstreamClients } from "../http_clients.ts";
import { VERSION } from "../version.ts";
import { type Finding, findingsOf, wordsOfError } from "./finding.ts";

/** How long the upstream may take to list its models. */
const PATIENCE_MS = 15_000;
/** A clock may be off by this much, and by this much at most. */
const SLACK_MS = 10_000;
const MOST_SKEW_MS = 120_000;
const SECOND_MS = 1_000;

const credentials = findingsOf("credential");
const clock = findingsOf("clock");

type Clock = () => number;

/** What one credential's question brought. */
interface Asked {
  readonly finding: Finding;
  /** How far the upstream's clock is ahead; null if it does not say. */
  readonly aheadMs: number | null;
}

/** Asks each upstream for its models with each of its credentials, and compares clocks. */
export async function examineUpstream(config: Config, now: Clock): Promise<readonly Finding[]> {
  const clients = upstreamClients(config);
  const isOnly = config.upstreams.length === 1;
  try {
    const all = await Promise.all(
      config.upstreams.flatMap((upstream) =>
        upstream.credentials.map((credential) => ask(credential, { upstream, isOnly, now, clients }))
      ),
    );
    return [...all.map(({ finding }) => finding), ofClock(all.map(({ aheadMs }) => aheadMs))];
  } finally {
    clients.close();
  }
}

async function ask(
  credential: Credential,
  { upstream, isOnly, clients, now }: {
    readonly upstream: UpstreamConfig;
    readonly isOnly: boolean;
    readonly clients: HttpClients;
    readonly now: Clock;
  },
): Promise<Asked> {
  const provider = (dialects as Readonly<Record<string, Provider>>)[upstream.dialect]!;
  const { baseUrl, path } = freeRequestOf(credential, { upstream, checkPath: provider.checkPath });
  const name = isOnly ? credential.id : `${upstream.name}: ${credential.id}`;
  using limit = timeLimit(PATIENCE_MS, () => new Error(`no answer within ${PATIENCE_MS / SECOND_MS} s`));
  let payment: Payment;
  try {
    payment = paymentOf(credential, { now, ...clients });
    await payment.headersFor({ method: "GET", url: baseUrl + path, headers: [], body: null });
  } catch (error) {
    const says = `${name} cannot pay: ${wordsOfError(error)}`;
    return { finding: credentials.failed(says, HOW_TO_PAY[credential.auth.kind]), aheadMs: null };
  }
  const before = now();
  try {
    const answer = await askUpstream(path, {
      upstream: { provider, place: upstream.place, paymentOf: () => payment, userAgent: `llmproxy/${VERSION}` },
      credential: { ...credential, baseUrl },
      ...{ fetch: clients.fetch, signal: limit.signal },
    });
    const after = now();
    await answer.body?.cancel();
    return {
      finding: ofAnswer(answer, {
        what: `${name} at ${baseUrl}`,
        took: `${answer.status} in ${after - before} ms`,
        upstream,
      }),
      aheadMs: aheadOf(answer, (before + after) / 2),
    };
  } catch (error) {
    const says = `${name}: ${new URL(baseUrl).origin} cannot be reached: ${wordsOfError(error)}`;
    return { finding: credentials.failed(says, UNREACHABLE), aheadMs: null };
  }
}

/** AWS's host for calls lists nothing, in any dialect. Its control plane does. */
const INFERENCE_PROFILES = "/inference-profiles?maxResults=1";

/** Where a request that costs nothing shows whether the credential is good. */
export function freeRequestOf(
  { baseUrl }: Pick<Credential, "baseUrl">,
  { upstream: { place }, checkPath }: { readonly upstream: Pick<UpstreamConfig, "place">; readonly checkPath: string },
): { readonly baseUrl: string; readonly path: string } {
  const controlPlane = controlPlaneOf(baseUrl);
  if (controlPlane !== null) return { baseUrl: controlPlane, path: INFERENCE_PROFILES };
  return { baseUrl: baseUrlAt(baseUrl, place.locations[0] ?? ""), path: checkPath };
}

const HOW_TO_PAY = {
  header: "Replace the key: docs/upstreams.md.",
  aws: 'Check the role of this machine, or give the credential keys instead of "machine": docs/upstreams.md.',
  google:
    'Check the key of the service account and the way to its token_uri, or the account of this machine if it is "machine": ' +
    "docs/upstreams.md.",
} as const;
const BASE_URL = "its base URL (ANTHROPIC_BASE_URL, or baseUrl in the file of upstreams)";
const UNREACHABLE = `Check ${BASE_URL}, DNS and the way out. Behind a proxy set HTTPS_PROXY; if something ends TLS in ` +
  "between, name its certificate in LLMPROXY_CA_FILE.";
const REPLACE = "Replace the key or token: docs/operations.md#rotate-a-secret. Calls that use it fail with 502.";

interface AnswerTo {
  readonly what: string;
  readonly took: string;
  readonly upstream: Pick<UpstreamConfig, "dialect" | "seller">;
}

export function ofAnswer({ status, headers }: Pick<Response, "status" | "headers">, { what, took, upstream }: AnswerTo): Finding {
  if (status === 200) return credentials.ok(`${what} is good (${took})`);
  // The Gemini API answers a wrong key with 400.
  const isRefused = isUnknownToAws({ status, headers }) || (status === 400 && upstream.dialect === "gemini");
  if (isRefused) return credentials.failed(`${what}: the upstream refuses it (${took})`, REPLACE);
  if (status === 403 && upstream.seller === "aws.bedrock") {
    return credentials.warning(
      `${what} may not list inference profiles (${took})`,
      "Calls may still be allowed. To check it here, allow it bedrock:ListInferenceProfiles.",
    );
  }
  if (status === 403) {
    return credentials.failed(
      `${what} may not list models (${took})`,
      "Check the key's rights and its workspace at the provider, and whether a firewall answers.",
    );
  }
  if (status === 402) {
    return credentials.failed(`${what} has no credit (${took})`, "Add credit at the provider, or use another key.");
  }
  if (status === 429) return credentials.warning(`${what} is at its rate limit (${took})`, "Run doctor again in a minute.");
  if (status === 404) {
    return credentials.warning(
      `${what}: the upstream has no list of models (${took})`,
      `The key was not checked. Make a call, or check ${BASE_URL}.`,
    );
  }
  return credentials.failed(
    `${what}: the upstream does not list its models (${took})`,
    `Check ${BASE_URL} and the provider's status page.`,
  );
}

/** By the header `Date`, which has whole seconds: the middle of that second. */
function aheadOf({ headers }: Response, at: number): number | null {
  const date = Date.parse(headers.get("date") ?? "");
  return Number.isNaN(date) ? null : date + SECOND_MS / 2 - at;
}

/** By the answer that is nearest: a slow answer looks like a wrong clock. */
export function ofClock(all: readonly (number | null)[], whose = "the upstream's"): Finding {
  const known = all.filter((ahead) => ahead !== null).sort((a, b) => Math.abs(a) - Math.abs(b));
  const ahead = known[0];
  if (ahead === undefined) return clock.skipped("No answer said what time it is");
  const off = Math.abs(ahead);
  if (off <= SLACK_MS) return clock.ok(`This machine's clock agrees with ${whose}`);
  const says = `This machine's clock is ${Math.round(off / SECOND_MS)} s ${ahead > 0 ? "behind" : "ahead of"} ${whose}`;
  const advice = "Set it by NTP, for example: timedatectl set-ntp true. Rows, limits of a day and prices go by this clock.";
  return off > MOST_SKEW_MS ? clock.failed(says, advice) : clock.warning(says, advice);
}
