import { Document } from "./layout.tsx";

export interface SignInParts {
  /** Where to go on. */
  readonly next: string;
  readonly problem?: string;
  /** Someone can sign in at the OpenID provider. */
  readonly hasOidc: boolean;
}

export function SignIn({ next, problem, hasOidc }: SignInParts) {
  return (
    <Document title="Sign in">
      <main id="main" class="sign-in">
        <h1>llmproxy</h1>
        {problem === undefined ? null : <p class="problem" role="alert">{problem}</p>}
        {hasOidc
          ? (
            <p>
              <a class="button" href={`/dashboard/oidc?next=${encodeURIComponent(next)}`}>Sign in with your organisation</a>
            </p>
          )
          : null}
        <form method="post" action="/dashboard/sign-in">
          <input type="hidden" name="next" value={next} />
          <label for="token">Admin or viewer token</label>
          <input id="token" name="token" type="password" autocomplete="current-password" required autofocus={!hasOidc} />
          <button type="submit" class={hasOidc ? "quiet" : undefined}>Sign in</button>
        </form>
        <p class="hint">
          The admin token is <code>LLMPROXY_ADMIN_TOKEN</code>, or the file <code>admin-token</code> in the data directory.{" "}
          <code>LLMPROXY_VIEWER_TOKEN</code> only looks.
        </p>
      </main>
    </Document>
  );
}

/** A path of the dashboard, and nothing of another site. */
export function nextOf(text: string | null): string {
  return text !== null && /^\/dashboard(?:[/?][\x21-\x7e]*)?$/.test(text) ? text : "/dashboard";
}
