import type { Place, Provider } from "./provider.ts";
import type { OpenCall } from "./usage.ts";

/** The operator's credential. Plain data: it goes to other processes of the proxy. */
export interface Credential {
  /** Names the credential in rows, logs and metrics without being it. */
  readonly id: string;
  /** Its share of the sessions, by the sum of all weights. */
  readonly weight: number;
  /** Where its calls go: without a trailing slash; may have a path. */
  readonly baseUrl: string;
  /** The part that is secret; empty if the machine has it. */
  readonly secret: string;
  readonly auth: HeaderAuth | AwsAuth | GoogleAuth;
}

/** One header pays. */
export interface HeaderAuth {
  readonly kind: "header";
  readonly header: string;
  readonly value: string;
}

/** Each request is signed: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html. */
export interface AwsAuth {
  readonly kind: "aws";
  readonly region: string;
  /** `bedrock` or `bedrock-mantle`. */
  readonly service: string;
  /** Null: those of the machine, found and renewed as AWS's own programs do. */
  readonly keys: AwsKeys | null;
}

export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
}

/** A token is minted by a service account, and renewed before it expires. */
export interface GoogleAuth {
  readonly kind: "google";
  /** The JSON key file's text; null: the machine's own account. */
  readonly keyFile: string | null;
}

/** A request that is to be paid for. */
export interface PaidRequest {
  readonly method: string;
  readonly url: string;
  /** Header names are in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Null: it has none. */
  readonly body: Uint8Array | null;
}

/** Makes the headers that pay, and nothing else: names in lower case. */
export interface Payment {
  /** Whether `headersFor` needs the bytes of the body. */
  readonly signsBody: boolean;
  /**
   * Resolves within a bound of time. Rejects with an error without secrets if none can be had. A
   * promise only if it has to wait.
   */
  readonly headersFor: (request: PaidRequest) => PayingHeaders | Promise<PayingHeaders>;
  /** The upstream has refused them: minted ones are not used again. */
  readonly refused: () => void;
  /** Whether an answer refuses what paid. Left out: only a 401 does. */
  readonly isRefusedBy?: (head: Pick<Response, "status" | "headers">) => boolean;
}

export type PayingHeaders = readonly (readonly [name: string, value: string])[];

/** A way to a model: a dialect, and the credentials that pay there. */
export interface Upstream {
  /** The operator's name of it, in rows. */
  readonly name: string;
  readonly provider: Provider;
  /** Who bills its calls: a key of `billings.ts`, in rows as their provider. */
  readonly seller: string;
  readonly place: Place;
  readonly credentials: Credentials;
  readonly paymentOf: (credential: Credential) => Payment;
  readonly mayUse: (asked: Pick<UpstreamAsked, "workspaceId" | "model">) => boolean;
  /**
   * A stream whose client left is read on for so long, ms, because it is paid for in full; 0: it is
   * ended at once.
   */
  readonly readOnMs: number;
  /** Calls that do not ask for their usage are refused. */
  readonly isStrict: boolean;
  /** Silence of the upstream after which a call is broken, milliseconds. */
  readonly idleMs: number;
  /** How long an unstreamed answer is read after its client left, ms: it is paid for anyway. */
  readonly drainAfterLeftMs: number;
  /** Sent if the client named none; fetch would name itself. */
  readonly userAgent: string;
}

/** What the settings say of an upstream. Plain data: it goes to other processes of the proxy. */
export interface UpstreamConfig extends Pick<Upstream, "name" | "seller" | "place" | "readOnMs" | "isStrict"> {
  /** A name of `providers.ts`. */
  readonly dialect: string;
  /** Of credentials that name no other. */
  readonly baseUrl: string;
  /** At least one. */
  readonly credentials: readonly Credential[];
  /** Models that calls may ask for, with `*` for any rest; an ARN only by one that begins so. */
  readonly models: readonly string[];
  /** Those that may use it; null: all. */
  readonly workspaces: readonly string[] | null;
}

/** All that no log may show of an upstream. */
export function secretsOfUpstream({ credentials }: Pick<UpstreamConfig, "credentials">): readonly string[] {
  return credentials.flatMap(({ secret, auth }) => {
    const keys = auth.kind === "aws" && auth.keys !== null ? [auth.keys.secretAccessKey, auth.keys.sessionToken ?? ""] : [];
    return [secret, ...keys].filter((text) => text !== "");
  });
}

/** Who asks for what. */
export interface UpstreamAsked {
  readonly workspaceId: string;
  /**
   * Empty: the call should name one, and leaves it to the upstream. Null: calls of its kind name
   * none.
   */
  readonly model: string | null;
  /** The credential that holds what the call names; null if it names nothing. */
  readonly heldBy: string | null;
}

/** All ways to a model, in the order of the settings; the first is the default. */
export interface Upstreams {
  /** The dialects that some upstream speaks, in the order of the upstreams. */
  readonly dialects: () => readonly Provider[];
  /** The first of the dialect that the call may use. Throws `Fault` `model_not_allowed`. */
  readonly forCall: (dialect: Provider, asked: UpstreamAsked) => Upstream;
  /**
   * Where a call went whose row says so: its seller's that still has the credential, because only
   * that account knows what the call made. Otherwise by the upstream's name, the first of the
   * seller, or the default.
   */
  readonly ofCall: (call: Pick<OpenCall, "upstream" | "provider" | "credentialId">) => Upstream;
}

/** A billed call that is to be sent. */
export interface CallToSend extends Pick<OpenCall, "workspaceId" | "sandboxId" | "traceId" | "requestedModel" | "requestClass"> {
  /** The credential that holds a file that the call names; null if it names none. */
  readonly heldBy: string | null;
}

/**
 * The operator's credentials: which one pays for a call, and when the upstream takes the call. With
 * one credential, all methods return it.
 */
export interface Credentials {
  /**
   * Resolves to the credential of the call's session when the call may be sent. A session stays on
   * its credential: its prompt cache is there. It moves only while the upstream refuses that one,
   * or asks for a longer wait than the setting allows. Rejects with `Fault` `upstream_busy`, or
   * with the signal's reason if it has to wait.
   */
  readonly forCall: (call: CallToSend, signal: AbortSignal) => Promise<Credential>;
  /** The call that `forCall` chose it for is not sent after all. */
  readonly unsent: (credential: Credential) => void;
  /** For calls without a row, except those about what another credential holds. */
  readonly ofWorkspace: (workspaceId: string) => Credential;
  /** Whether one has that id. */
  readonly has: (credentialId: string) => boolean;
  /** By the id that rows have. An unknown one, and null, mean the first credential. */
  readonly holding: (credentialId: string | null) => Credential;
  /** The head of an answer has come. `model` is null for a call without a row. */
  readonly answered: (credential: Credential, head: Pick<Response, "status" | "headers">, model: string | null) => void;
  /** A 401 has come. Resolves to whether another credential pays for the session now. */
  readonly refused: (credential: Credential) => Promise<boolean>;
  /** An answer said that the account behind the credential has no credit. */
  readonly outOfCredit: (credential: Credential) => void;
}
