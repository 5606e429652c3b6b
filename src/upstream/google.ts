import { timeLimit } from "../async/deadline.ts";
import type { GoogleAuth, PayingHeaders, Payment } from "../domain/upstream.ts";

export interface GooglePaymentOptions {
  /** Milliseconds since the epoch. Google refuses an assertion that is minutes off. */
  readonly now: () => number;
  /** Through the proxies that the environment names. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Past all proxies: the machine's own account is asked on the machine's link. */
  readonly fetchDirect: (url: string, init: RequestInit) => Promise<Response>;
  /** How long a call waits for a token, milliseconds. */
  readonly patienceMs?: number;
  /** Of the metadata server, without a trailing slash. */
  readonly metadataUrl?: string;
}

const PATIENCE_MS = 10_000;
/** https://cloud.google.com/compute/docs/metadata/querying-metadata: a name would need DNS. */
const METADATA_URL = "http://169.254.169.254";
/** Of a key file that names no other. */
const TOKEN_URL = "https://oauth2.googleapis.com/token";
const SCOPE = "https://www.googleapis.com/auth/cloud-platform";
/** Google mints for no longer. */
const LIFETIME_SECONDS = 3_600;
/** So long before a token expires, a new one is minted while the calls use the old one. */
const EARLY_MS = 5 * 60_000;
/** A renewal that failed is tried again after so long. */
const AGAIN_MS = 30_000;
/** A token that expires sooner might not reach the upstream in time. */
const ON_THE_WAY_MS = 10_000;
/** A refusal of a token that is younger is not about the token. */
const YOUNG_MS = 60_000;

/** Pays with tokens of a service account, or of the machine's own account. */
export function googlePayment({ keyFile }: GoogleAuth, options: GooglePaymentOptions): Payment {
  const token = new MintedToken(() => keyFile === null ? fromMachine(options) : fromKey(keyFile, options), options.now);
  return { signsBody: false, headersFor: () => token.headers(), refused: () => token.refused() };
}

/** What a token server answers (RFC 6749, section 5.1). */
interface Minted {
  readonly token: string;
  readonly lifetimeMs: number;
}

interface Kept {
  readonly headers: PayingHeaders;
  readonly mintedAt: number;
  readonly renewAt: number;
  readonly expiresAt: number;
}

/** One token for all calls. They share each mint, and wait for it only if there is no token. */
class MintedToken {
  readonly #mintNew: () => Promise<Minted>;
  readonly #now: () => number;
  #kept: Kept | null = null;
  #minting: Promise<PayingHeaders> | null = null;
  #tryAt = -Infinity;

  constructor(mintNew: () => Promise<Minted>, now: () => number) {
    this.#mintNew = mintNew;
    this.#now = now;
  }

  headers(): PayingHeaders | Promise<PayingHeaders> {
    const now = this.#now();
    if (this.#kept === null || now >= this.#kept.expiresAt - ON_THE_WAY_MS) return this.#mint();
    if (now >= this.#kept.renewAt && now >= this.#tryAt) {
      this.#tryAt = now + AGAIN_MS;
      this.#mint().catch(() => {});
    }
    return this.#kept.headers;
  }

  /** The calls that one bad token fails are refused one by one, so a new token stays. */
  refused(): void {
    if (this.#kept !== null && this.#now() - this.#kept.mintedAt >= YOUNG_MS) this.#kept = null;
  }

  #mint(): Promise<PayingHeaders> {
    return this.#minting ??= this.#renew().finally(() => this.#minting = null);
  }

  async #renew(): Promise<PayingHeaders> {
    const { token, lifetimeMs } = await this.#mintNew();
    const headers = [["authorization", `Bearer ${token}`]] as const;
    const mintedAt = this.#now();
    const expiresAt = mintedAt + lifetimeMs;
    this.#kept = { headers, mintedAt, expiresAt, renewAt: expiresAt - Math.min(EARLY_MS, lifetimeMs / 2) };
    return headers;
  }
}

/** https://developers.google.com/identity/protocols/oauth2/service-account#httprest */
async function fromKey(keyFile: string, { now, fetch, patienceMs = PATIENCE_MS }: GooglePaymentOptions): Promise<Minted> {
  const { email, privateKey, keyId, tokenUrl } = keyOf(keyFile);
  const { importPKCS8, SignJWT } = await import("jose");
  const key = await importPKCS8(privateKey, "RS256").catch(() => {
    throw new Error(`${NO_TOKEN}: the key file's private_key cannot be read`);
  });
  const at = Math.floor(now() / 1_000);
  const assertion = await new SignJWT({ iss: email, scope: SCOPE, aud: tokenUrl, iat: at, exp: at + LIFETIME_SECONDS })
    .setProtectedHeader({ alg: "RS256", typ: "JWT", ...(keyId === null ? {} : { kid: keyId }) })
    .sign(key);
  const body = new URLSearchParams({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion });
  return await ask("the token server", { url: tokenUrl, init: { method: "POST", body }, fetch, patienceMs });
}

/** https://cloud.google.com/compute/docs/access/authenticate-workloads#applications */
async function fromMachine(
  { fetchDirect, patienceMs = PATIENCE_MS, metadataUrl = METADATA_URL }: GooglePaymentOptions,
): Promise<Minted> {
  const url = `${metadataUrl}/computeMetadata/v1/instance/service-accounts/default/token`;
  const init = { headers: { "metadata-flavor": "Google" } };
  return await ask("the machine's metadata server", { url, init, fetch: fetchDirect, patienceMs });
}

/** What of a key file mints. Its text goes into no error: it is a secret. */
function keyOf(keyFile: string) {
  let file: unknown;
  try {
    file = JSON.parse(keyFile);
  } catch {
    throw new Error(`${NO_TOKEN}: the key file is not JSON`);
  }
  const fields = typeof file === "object" && file !== null ? file as Readonly<Record<string, unknown>> : {};
  const text = (name: string) => {
    const value = fields[name];
    if (typeof value === "string" && value !== "") return value;
    throw new Error(`${NO_TOKEN}: the key file has no ${name}; expected the JSON key of a service account`);
  };
  return {
    email: text("client_email"),
    privateKey: text("private_key"),
    keyId: typeof fields.private_key_id === "string" ? fields.private_key_id : null,
    tokenUrl: fields.token_uri === undefined ? TOKEN_URL : text("token_uri"),
  };
}

const NO_TOKEN = "Cannot mint a token of Google";

/** Its errors hold nothing of what was sent, and of what was answered no more than a word. */
async function ask(
  whom: string,
  { url, init, fetch, patienceMs }: {
    readonly url: string;
    readonly init: RequestInit;
    readonly fetch: GooglePaymentOptions["fetch"];
    readonly patienceMs: number;
  },
): Promise<Minted> {
  using limit = timeLimit(patienceMs, () => new Error(`${NO_TOKEN}: ${whom} did not answer within ${patienceMs} ms`));
  const { status, text } = await textOf(fetch, { url, init: { ...init, redirect: "manual", signal: limit.signal } }).catch(
    (cause) => {
      throw limit.signal.aborted ? limit.signal.reason : new Error(`${NO_TOKEN}: ${whom} cannot be reached`, { cause });
    },
  );
  const answer = recordOf(text);
  if (status !== 200) throw new Error(`${NO_TOKEN}: ${whom} answered ${status}${wordOf(answer.error)}`);
  const { access_token: token, expires_in: seconds } = answer;
  const isToken = typeof token === "string" && /^[\x21-\x7e]+$/.test(token);
  if (!isToken || typeof seconds !== "number" || !(seconds > 0)) {
    throw new Error(`${NO_TOKEN}: ${whom} answered with something else than a token`);
  }
  return { token, lifetimeMs: 1_000 * seconds };
}

async function textOf(
  fetch: GooglePaymentOptions["fetch"],
  { url, init }: { readonly url: string; readonly init: RequestInit },
): Promise<{ readonly status: number; readonly text: string }> {
  const answer = await fetch(url, init);
  return { status: answer.status, text: await answer.text() };
}

function recordOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value as Readonly<Record<string, unknown>> : {};
  } catch {
    return {};
  }
}

/** An error code of OAuth (RFC 6749, section 5.2), such as `invalid_grant`. */
function wordOf(error: unknown): string {
  return typeof error === "string" && /^[a-z_]{1,40}$/.test(error) ? ` (${error})` : "";
}
