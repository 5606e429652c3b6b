import * as client from "openid-client";
import { SingleFlight } from "../async/single_flight.ts";
import { type OpenIdSignIn, type Person, type SignInCheck, SignInFailed, type SignInFault } from "../domain/sign_in.ts";
import { type Claims, type People, personOf } from "./people.ts";

export interface OidcOptions {
  /** As the provider writes it. */
  readonly issuer: string;
  readonly clientId: string;
  /** Called for each sign-in, because it can be rotated. Null: a public client. */
  readonly clientSecret: () => string | null;
  readonly scopes: string;
  /** Where the provider sends the browser back to, exactly. */
  readonly redirectUrl: string;
  readonly people: People;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
}

/** How far the provider's clock may be off. */
const CLOCK_TOLERANCE_SECONDS = 30;
/** Of one request to the provider. */
const TIMEOUT_SECONDS = 10;
/** A provider's endpoints change rarely. */
const KNOWN_MS = 3_600_000;
/** A provider that did not answer is asked again after so long. */
const RETRY_MS = 5_000;

/**
 * Signs people in by the code flow with PKCE, state and nonce. Asks the provider for its endpoints
 * at the first sign-in, and not before: the proxy starts without it.
 */
export function oidcSignIn(options: OidcOptions): OpenIdSignIn {
  const discovered = new Discovered(options);
  const { people, redirectUrl } = options;
  return {
    async begin() {
      const provider = await discovered.provider();
      const check: SignInCheck = {
        state: client.randomState(),
        nonce: client.randomNonce(),
        verifier: client.randomPKCECodeVerifier(),
      };
      const challenge = await client.calculatePKCECodeChallenge(check.verifier);
      return { url: authorizationUrl(provider, { ...options, ...check, challenge }), check };
    },
    async finish(answer, check) {
      const provider = await discovered.provider();
      const documents = await claimsOf(provider, new URL(answer, redirectUrl), check).catch((error) => {
        throw failureOf(error, "untrusted");
      });
      return personIn(documents, people);
    },
    sessionSecret: () => JSON.stringify([options.issuer, options.clientId, options.clientSecret(), people]),
  };
}

function authorizationUrl(
  provider: client.Configuration,
  { redirectUrl, scopes, state, nonce, challenge }: OidcOptions & SignInCheck & { readonly challenge: string },
): string {
  try {
    const asked = { redirect_uri: redirectUrl, scope: scopes, state, nonce };
    return client.buildAuthorizationUrl(provider, { ...asked, code_challenge: challenge, code_challenge_method: "S256" }).href;
  } catch (error) {
    throw failureOf(error, "unusable");
  }
}

/** Of the ID token, and of the userinfo endpoint, which some providers keep most claims for. */
async function claimsOf(
  provider: client.Configuration,
  answer: URL,
  { state, nonce, verifier }: SignInCheck,
): Promise<readonly Claims[]> {
  const tokens = await client.authorizationCodeGrant(provider, answer, {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
  });
  const claims = tokens.claims()!;
  if (provider.serverMetadata().userinfo_endpoint === undefined) return [claims];
  return [claims, await client.fetchUserInfo(provider, tokens.access_token, claims.sub)];
}

function personIn(documents: readonly Claims[], people: People): Person {
  const person = personOf(documents, people);
  if (person === null) throw new SignInFailed("untrusted", "the subject is not 1 to 255 visible ASCII characters");
  return person;
}

/** What the provider says of itself. */
class Discovered {
  readonly #options: OidcOptions;
  readonly #flights = new SingleFlight<"", client.Configuration>();
  #known: { readonly provider: client.Configuration; readonly at: number } | null = null;
  #failed: { readonly error: SignInFailed; readonly at: number } | null = null;

  constructor(options: OidcOptions) {
    this.#options = options;
  }

  /** Rejects with `SignInFailed`. */
  async provider(): Promise<client.Configuration> {
    const now = this.#options.elapsed();
    if (this.#known !== null && now - this.#known.at < KNOWN_MS) return this.#known.provider;
    if (this.#failed !== null && now - this.#failed.at < RETRY_MS) throw this.#failed.error;
    return await this.#flights.run("", () => this.#discover());
  }

  async #discover(): Promise<client.Configuration> {
    const { issuer, clientId, clientSecret, fetch, elapsed } = this.#options;
    const url = new URL(issuer);
    try {
      const provider = await client.discovery(
        url,
        clientId,
        { [client.clockTolerance]: CLOCK_TOLERANCE_SECONDS },
        authBy(clientSecret),
        {
          [client.customFetch]: (url, init) => fetch(url, init as RequestInit),
          timeout: TIMEOUT_SECONDS,
          // The signature counts, not only TLS to the provider.
          execute: [client.enableNonRepudiationChecks, ...(url.protocol === "http:" ? [client.allowInsecureRequests] : [])],
        },
      );
      this.#known = { provider, at: elapsed() };
      return provider;
    } catch (error) {
      const failure = failureOf(error, "unusable");
      this.#failed = { error: failure, at: elapsed() };
      throw failure;
    }
  }
}

/** By `client_secret_basic`, the specification's default, if the provider takes it. */
function authBy(secret: () => string | null): client.ClientAuth {
  return (server, metadata, body, headers) => {
    const text = secret();
    if (text === null) return client.None()(server, metadata, body, headers);
    const takesBasic = server.token_endpoint_auth_methods_supported?.includes("client_secret_basic") ?? true;
    const way = takesBasic ? client.ClientSecretBasic(text) : client.ClientSecretPost(text);
    return way(server, metadata, body, headers);
  };
}

/** These codes are about the client, which the operator has set up (RFC 6749, 4.1.2.1 and 5.2). */
const ABOUT_THE_CLIENT = ["invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type"];
const MOST_WORDS = 300;

/** `fault` is that of an answer which cannot be used. No token and no code gets into the cause. */
function failureOf(error: unknown, fault: SignInFault): SignInFailed {
  if (error instanceof client.AuthorizationResponseError) return refusalOf(error, "denied");
  if (error instanceof client.ResponseBodyError) return refusalOf(error, fault);
  if (error instanceof client.WWWAuthenticateChallengeError) {
    return new SignInFailed("unusable", `status ${error.status}: check LLMPROXY_OIDC_CLIENT_ID and LLMPROXY_OIDC_CLIENT_SECRET`);
  }
  const { cause, code, message } = error as client.ClientError;
  if (cause instanceof Response) {
    return new SignInFailed(cause.status >= 500 ? "unreachable" : "unusable", `${message}: ${cause.status}`);
  }
  // What fetch rejects with if there is no connection.
  if (error instanceof TypeError || code === "OAUTH_TIMEOUT") return new SignInFailed("unreachable", message);
  return new SignInFailed(fault, detailOf(error as Error));
}

type OAuthError = Pick<client.ResponseBodyError, "error" | "error_description">;

function refusalOf({ error, error_description: description }: OAuthError, fault: SignInFault): SignInFailed {
  const words = (description === undefined ? error : `${error}: ${description}`).slice(0, MOST_WORDS);
  return new SignInFailed(ABOUT_THE_CLIENT.includes(error) ? "unusable" : fault, words);
}

function detailOf({ message, cause }: Error): string {
  if (cause instanceof Error) return `${message}: ${cause.message}`;
  const issuer = (cause as { readonly body?: { readonly issuer?: unknown } } | undefined)?.body?.issuer;
  return issuer === undefined ? message : `${message}: the provider calls itself ${issuer}`;
}
