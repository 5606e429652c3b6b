import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { deadline } from "../async/deadline.ts";
import type { AwsAuth, AwsKeys, PaidRequest, PayingHeaders, Payment } from "../domain/upstream.ts";

export interface AwsPaymentOptions {
  /** Milliseconds since 1970; left out: the machine's clock. AWS refuses what is minutes off. */
  readonly now?: () => number;
  /** How long a call waits for the machine's keys. */
  readonly patienceMs?: number;
}

/** Longer than the services of keys are asked: three times. */
const PATIENCE_MS = 10_000;
/** The library's own is a second, without another try: little on a busy machine. */
const ASKED = { timeout: 2_500, maxRetries: 1 } as const;

/**
 * Signs requests (Signature Version 4) with AWS's own library, which is loaded for the first of
 * them. Their body is signed, and of their headers only the host, the content type and `x-amz-*`:
 * a hop in between may add others.
 */
export function awsPayment(auth: AwsAuth, { now, patienceMs = PATIENCE_MS }: AwsPaymentOptions = {}): Payment {
  const machine = auth.keys === null ? new MachineKeys(auth.region, patienceMs) : null;
  const credentials = machine === null ? keysAsGiven(auth.keys!) : () => machine.get();
  let signer: ReturnType<typeof signerOf> | null = null;
  return {
    signsBody: true,
    headersFor: async (request) => {
      signer ??= signerOf({ region: auth.region, service: auth.service, credentials });
      return await (await signer)(request, now?.());
    },
    refused: () => machine?.refused(),
    isRefusedBy: isUnknownToAws,
  };
}

/** https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html */
const UNKNOWN =
  /^(?:UnrecognizedClient|InvalidSignature|IncompleteSignature|ExpiredToken|InvalidClientTokenId|MissingAuthenticationToken|SignatureDoesNotMatch)/;

/**
 * Whether the answer says that the credential is not good. AWS says that with 403. The text of such
 * an answer can quote all that was signed, with a role's session token.
 */
export function isUnknownToAws({ status, headers }: Pick<Response, "status" | "headers">): boolean {
  return status === 401 || (status === 403 && UNKNOWN.test(headers.get("x-amzn-errortype") ?? ""));
}

/**
 * Whether AWS knows the credential and does not let it ask that. This is no word about calls: many
 * credentials may make calls and list nothing.
 */
export function mayNotList(answer: Pick<Response, "status" | "headers">): boolean {
  return answer.status === 403 && answer.headers.has("x-amzn-errortype") && !isUnknownToAws(answer);
}

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

function keysAsGiven({ accessKeyId, secretAccessKey, sessionToken }: AwsKeys): Keys {
  return { accessKeyId, secretAccessKey, ...(sessionToken === null ? {} : { sessionToken }) };
}

/** What a signature adds. A client's own are not signed. */
const PAYING = ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

interface Signing {
  readonly region: string;
  readonly service: string;
  readonly credentials: Keys | (() => Promise<Keys>);
}

async function signerOf(signing: Signing) {
  const [{ SignatureV4 }, { hmac }, { sha256 }] = await Promise.all([
    import("@smithy/signature-v4"),
    import("@noble/hashes/hmac.js"),
    import("@noble/hashes/sha2.js"),
  ]);
  const signature = new SignatureV4({ ...signing, sha256: hashesBy((key, data) => hmac(sha256, key, data)) });
  return async ({ method, url, headers, body }: PaidRequest, at: number | undefined): Promise<PayingHeaders> => {
    const { protocol, host, hostname, pathname, searchParams } = new URL(url);
    const signed: Record<string, string> = { host };
    for (const [name, value] of headers) {
      const isSigned = name === "content-type" || (name.startsWith("x-amz-") && !PAYING.includes(name));
      if (isSigned) signed[name] = name in signed ? `${signed[name]},${value}` : value;
    }
    signed["x-amz-content-sha256"] = await hashOf(body);
    // The path goes in as it is sent; the library encodes it once more, as all services but S3 do.
    const request = { method, protocol, hostname, path: pathname, query: queryOf(searchParams), headers: signed };
    const paid = await signature.sign(request, at === undefined ? {} : { signingDate: new Date(at) });
    return PAYING.flatMap((name) => paid.headers[name] === undefined ? [] : [[name, paid.headers[name]] as const]);
  };
}

/** The library's own parser loses equals signs in a value, and names without one. */
function queryOf(parameters: URLSearchParams): Record<string, string[]> {
  const query: Record<string, string[]> = Object.create(null);
  for (const [name, value] of parameters) (query[name] ??= []).push(value);
  return query;
}

/** A larger body is hashed off the event loop. The way there takes longer than a small one. */
const HASHED_AT_ONCE = 64 * 1024;

/** In hexadecimal. */
async function hashOf(body: Uint8Array | null): Promise<string> {
  const bytes = body ?? new Uint8Array(0);
  if (bytes.length <= HASHED_AT_ONCE) return hash("sha256", bytes, "hex");
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)).toHex();
}

type Secret = string | ArrayBuffer | ArrayBufferView;

/**
 * SHA-256 as the library asks for it: by `keyed` if it gets a secret. Of all that is there, these
 * leave the least to collect: an object of `node:crypto` for each hash costs more than the hash.
 */
function hashesBy(keyed: (key: Uint8Array, data: Uint8Array) => Uint8Array) {
  return class {
    readonly #secret: Secret | undefined;
    #data: Uint8Array = new Uint8Array(0);

    constructor(secret?: Secret) {
      this.#secret = secret;
    }

    update(data: Uint8Array): void {
      this.#data = this.#data.length === 0 ? data : Buffer.concat([this.#data, data]);
    }

    digest(): Promise<Uint8Array> {
      const secret = this.#secret;
      return Promise.resolve(secret === undefined ? hash("sha256", this.#data, "buffer") : keyed(bytesOf(secret), this.#data));
    }

    reset(): void {
      this.#data = new Uint8Array(0);
    }
  };
}

function bytesOf(secret: Secret): Uint8Array {
  if (typeof secret === "string") return encoder.encode(secret);
  return secret instanceof ArrayBuffer
    ? new Uint8Array(secret)
    : new Uint8Array(secret.buffer, secret.byteOffset, secret.byteLength);
}

const encoder = new TextEncoder();

/**
 * The keys of the machine's role, found as AWS's own programs find them: in the environment, the
 * shared files, a web identity's token, or the metadata service of a container or an instance.
 * AWS's library keeps them. It renews them five minutes before they expire, while the old ones are
 * used. All calls share one renewal.
 */
class MachineKeys {
  readonly #region: string;
  readonly #patienceMs: number;
  #provider: ReturnType<typeof providerOf> | null = null;
  #isRefused = false;
  #renewal: Promise<Keys> | null = null;
  /** The id of the keys that were handed out last, and of those that a refusal made new. */
  #current: string | null = null;
  #renewed: string | null = null;

  constructor(region: string, patienceMs: number) {
    this.#region = region;
    this.#patienceMs = patienceMs;
  }

  async get(): Promise<Keys> {
    const late = () => new Error(`no answer within ${this.#patienceMs} ms`);
    try {
      return await deadline(this.#found(), this.#patienceMs, late);
    } catch (error) {
      // The text of an error may quote an answer, and that has keys.
      const kind = error instanceof Error ? error.name : "Error";
      throw new Error(`Cannot get keys of AWS for this machine: it has no role, or the role's service failed (${kind})`);
    }
  }

  /** Calls wait for new keys from now on, unless these are new for that reason. */
  refused(): void {
    this.#isRefused = this.#current !== this.#renewed;
  }

  async #found(): Promise<Keys> {
    const provider = await (this.#provider ??= providerOf(this.#region));
    if (this.#isRefused) {
      this.#isRefused = false;
      this.#renewal = provider({ forceRefresh: true }).then((keys) => {
        this.#renewed = keys.accessKeyId;
        return keys;
      }).finally(() => this.#renewal = null);
    }
    const keys = await (this.#renewal ?? provider());
    this.#current = keys.accessKeyId;
    return keys;
  }
}

/** The web identity's tokens are exchanged in the region of the calls. */
async function providerOf(region: string) {
  const { defaultProvider } = await import("@aws-sdk/credential-provider-node");
  const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
  return defaultProvider({ ...ASKED, logger: silent, clientConfig: { region } });
}
