/** What someone may do on the dashboard: an admin changes things, a viewer only looks. */
export const ROLES = ["admin", "viewer"] as const;
export type Role = (typeof ROLES)[number];

/** Someone whom the OpenID provider knows. */
export interface Person {
  /** A verified e-mail address if there is one, otherwise the provider's own id of the person. */
  readonly name: string;
  /** Null: the settings name the person nowhere. */
  readonly role: Role | null;
}

/** What ties an answer of the provider to one sign-in. Only that browser may hold it. */
export interface SignInCheck {
  readonly state: string;
  readonly nonce: string;
  /** Of PKCE (RFC 7636). */
  readonly verifier: string;
}

/** Why no one was signed in, and what the browser is told. The cause is logged. */
export const SIGN_IN_FAULTS = {
  unreachable: { status: 503, says: "The OpenID provider does not answer. Sign in with a token, or try again in a few seconds." },
  unusable: {
    status: 502,
    says: "The OpenID provider and the settings of the proxy do not fit together: its log says why. Sign in with a token.",
  },
  denied: { status: 401, says: "The OpenID provider did not sign you in." },
  untrusted: { status: 401, says: "The answer of the OpenID provider did not pass a check; the log says which. Sign in again." },
} as const;
export type SignInFault = keyof typeof SIGN_IN_FAULTS;

/** Its cause is a text without tokens, codes and secrets. */
export class SignInFailed extends Error {
  override readonly name = "SignInFailed";
  readonly fault: SignInFault;

  constructor(fault: SignInFault, cause: string) {
    super(SIGN_IN_FAULTS[fault].says, { cause });
    this.fault = fault;
  }
}

/** Signs people in at an OpenID provider: https://openid.net/specs/openid-connect-core-1_0.html. */
export interface OpenIdSignIn {
  /** Where the browser goes. Rejects with `SignInFailed`. */
  readonly begin: () => Promise<{ readonly url: string; readonly check: SignInCheck }>;
  /** `answer` is the query that the browser comes back with. Rejects with `SignInFailed`. */
  readonly finish: (answer: string, check: SignInCheck) => Promise<Person>;
  /** Changes with the client's secret and with the people who may come in. Signs their sessions. */
  readonly sessionSecret: () => string;
}
