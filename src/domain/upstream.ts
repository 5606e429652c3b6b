import type { Credential } from "./provider.ts";
import type { OpenCall } from "./usage.ts";

export interface Upstream {
  readonly credentials: Credentials;
  /** Silence of the upstream after which a call is broken, milliseconds. */
  readonly idleMs: number;
  /** How long an unstreamed answer is read after its client left, ms: it is paid for anyway. */
  readonly drainAfterLeftMs: number;
  /** Sent if the client named none; fetch would name itself. */
  readonly userAgent: string;
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
  /** By the id that rows have. An unknown one, and null, mean the first credential. */
  readonly holding: (credentialId: string | null) => Credential;
  /** The head of an answer has come. `model` is null for a call without a row. */
  readonly answered: (credential: Credential, head: Pick<Response, "status" | "headers">, model: string | null) => void;
  /** A 401 has come. Resolves to whether another credential pays for the session now. */
  readonly refused: (credential: Credential) => Promise<boolean>;
  /** An answer said that the account behind the credential has no credit. */
  readonly outOfCredit: (credential: Credential) => void;
}
