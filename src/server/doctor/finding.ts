/** What a check of `llmproxy doctor` found. */
export interface Finding {
  readonly check: Check;
  readonly state: State;
  /** One sentence or a part of one, for an operator. It holds no secret. */
  readonly says: string;
  /** What to do about it; null if nothing has to be done. */
  readonly advice: string | null;
}

export const CHECKS = [
  ...["settings", "secret file", "data directory", "disk", "database", "credential", "clock", "control plane"] as const,
  ...["OpenID provider", "proxy"] as const,
];
export type Check = (typeof CHECKS)[number];

/** `skipped`: it could not be checked, or there is nothing to check. */
export type State = "ok" | "warning" | "failed" | "skipped";

/** Makes the findings of one check. */
export interface Findings {
  readonly ok: (says: string) => Finding;
  readonly warning: (says: string, advice: string) => Finding;
  readonly failed: (says: string, advice: string) => Finding;
  readonly skipped: (says: string, advice?: string) => Finding;
}

export function findingsOf(check: Check): Findings {
  return {
    ok: (says) => ({ check, state: "ok", says, advice: null }),
    warning: (says, advice) => ({ check, state: "warning", says, advice }),
    failed: (says, advice) => ({ check, state: "failed", says, advice }),
    skipped: (says, advice) => ({ check, state: "skipped", says, advice: advice ?? null }),
  };
}

/** An error's own words, without those of its causes. */
export function wordsOfError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
