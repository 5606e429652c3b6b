/** Asks the dashboard as a browser does: signed in with the admin token, by cookie. */
import type { Admin } from "./site.ts";

export interface Browser {
  /** Rejects unless it is answered with 200. */
  readonly get: (path: string) => Promise<string>;
  /** A stream of events. Rejects unless it is answered with 200. */
  readonly follow: (path: string) => Promise<ReadableStream<Uint8Array>>;
}

export async function signIn({ port, token }: Admin): Promise<Browser> {
  const origin = `http://127.0.0.1:${port}`;
  const form = new URLSearchParams({ token, next: "/dashboard" });
  const signedIn = await fetch(`${origin}/dashboard/sign-in`, { method: "POST", body: form, redirect: "manual" });
  await signedIn.body?.cancel();
  const cookie = signedIn.headers.getSetCookie().map((text) => text.split(";")[0]).join("; ");
  if (signedIn.status !== 303 || cookie === "") throw new Error(`the sign-in answered ${signedIn.status}`);
  const ask = async (path: string): Promise<Response> => {
    const answer = await fetch(`${origin}${path}`, { headers: { cookie }, redirect: "manual" });
    if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
    return answer;
  };
  return {
    get: async (path) => await (await ask(path)).text(),
    follow: async (path) => (await ask(path)).body!,
  };
}
