/** What a browser does for one person at the dashboard, without its scripts. */
import type { AdminUnderTest, Answer } from "./admin_under_test.ts";

/** Where the dashboard answers: in this process, or over a socket. */
export type DashboardPlace = Pick<AdminUnderTest, "askBare">;

export interface DashboardBrowser {
  readonly open: (path: string, init?: RequestInit) => Promise<Answer>;
  /** `name=value`; empty without a session. */
  readonly cookie: () => string;
  readonly send: (path: string, form: Record<string, string>, headers?: Record<string, string>) => Promise<Answer>;
  readonly signIn: (token: string) => Promise<Answer>;
  readonly formToken: (path?: string) => Promise<string>;
  /** Sends a form of the page, with its form token. */
  readonly submit: (path: string, form: Record<string, string>) => Promise<Answer>;
}

/** It keeps the session cookie and names the site that a form is of. */
export function browserAt({ askBare }: DashboardPlace): DashboardBrowser {
  let cookie = "";
  async function open(path: string, init: RequestInit = {}) {
    const headers = { cookie, host: "localhost", "sec-fetch-site": "same-origin", ...init.headers };
    const answer = await askBare(path, { redirect: "manual", ...init, headers });
    const given = answer.headers.get("set-cookie");
    if (given !== null) cookie = given.split(";")[0]!;
    return answer;
  }
  const send: DashboardBrowser["send"] = (path, form, headers = {}) =>
    open(path, { method: "POST", body: new URLSearchParams(form), headers });
  const formToken: DashboardBrowser["formToken"] = async (path = "/dashboard/audit") =>
    /name="form_token" value="([0-9a-f]{64})"/.exec((await open(path)).text)![1]!;
  return {
    open,
    cookie: () => cookie,
    send,
    signIn: (token) => send("/dashboard/sign-in", { token, next: "/dashboard/audit" }),
    formToken,
    submit: async (path, form) => send(path, { ...form, form_token: await formToken() }),
  };
}

/** The dashboard of a proxy that listens. */
export function dashboardAt(adminUrl: string): DashboardPlace {
  return {
    async askBare(path, init = {}) {
      const { host: _, ...headers } = { ...init.headers } as Record<string, string>;
      const answer = await fetch(adminUrl + path, { ...init, headers });
      return { status: answer.status, headers: answer.headers, text: await answer.text(), json: null };
    },
  };
}

/** The text that HTML stands for. */
export function unescaped(html: string): string {
  const characters: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', "#39": "'", amp: "&" };
  return html.replaceAll(/&(lt|gt|quot|#39|amp);/g, (_, name) => characters[name]!);
}
