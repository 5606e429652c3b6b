/** A real OpenID provider on a socket, which a test can make answer wrongly, and its browsers. */
import { Buffer } from "node:buffer";
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { Provider } from "oidc-provider";

export const CLIENT_ID = "llmproxy";
export const CLIENT_SECRET = "the-client-secret-of-the-tests";

type Claims = Readonly<Record<string, unknown>>;

/** By the name that they give at the login. */
const ACCOUNTS: Readonly<Record<string, Claims>> = {
  ada: { email: "Ada@Corp.example", email_verified: true },
  bob: { email: "bob@elsewhere.example", email_verified: false, groups: ["staff", "readers"] },
  eve: { email: "ada@corp.example", email_verified: false },
};

/** What the provider does otherwise than it should. */
export interface Wrongs {
  /** Over those of the next ID tokens, which are signed again. */
  claims?: (claims: Claims) => Claims;
  /** Another key than it publishes. */
  isForged?: true;
  /** Another name than the settings have. */
  issuer?: string;
}

export interface OpenIdProvider extends AsyncDisposable {
  readonly issuer: string;
  readonly wrongs: Wrongs;
  /** Paths that were asked for, with their queries. */
  readonly asked: readonly string[];
  /** Every code and token that it gave out. */
  readonly issued: readonly string[];
  /** It answers no one until it is up again. */
  readonly down: () => Promise<void>;
  readonly up: () => Promise<void>;
}

/** Takes the browser back to that URL only. */
export async function startOpenIdProvider(redirectUrl: string): Promise<OpenIdProvider> {
  const serving: { handle: RequestListener } = { handle: (_, response) => void response.writeHead(503).end() };
  const [asked, issued, wrongs]: [string[], string[], Wrongs] = [[], [], {}];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    serving.handle(request, response);
  });
  const listen = (port: number) => new Promise<void>((resolve) => void server.listen(port, "127.0.0.1", resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  // Another site than the proxy's in every browser.
  const issuer = `http://localhost:${port}`;
  const key = privateKey();
  const provider = quietly(() => new Provider(issuer, configurationOf(redirectUrl, key)));
  // deno-lint-ignore no-explicit-any -- Koa's context
  provider.use(async (context: any, next: () => Promise<void>) => {
    await next();
    const { path, body } = context;
    if (path === "/.well-known/openid-configuration" && wrongs.issuer !== undefined) body.issuer = wrongs.issuer;
    if (path !== "/token" || body?.id_token === undefined) return;
    if (wrongs.claims !== undefined || wrongs.isForged) {
      body.id_token = resigned(body.id_token, wrongs.isForged ? privateKey() : key, wrongs);
    }
    issued.push(body.id_token, body.access_token);
  });
  // deno-lint-ignore no-explicit-any -- of a package without types
  provider.on("authorization_code.saved", ({ jti }: any) => void issued.push(jti));
  serving.handle = provider.callback();
  const down = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return {
    issuer,
    wrongs,
    asked,
    issued,
    down,
    up: () => listen(port),
    [Symbol.asyncDispose]: async () => {
      if (server.listening) await down();
    },
  };
}

function configurationOf(redirectUrl: string, key: KeyObject) {
  return {
    clients: [{ client_id: CLIENT_ID, client_secret: CLIENT_SECRET, redirect_uris: [redirectUrl] }],
    jwks: { keys: [{ ...key.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "k1" }] },
    cookies: { keys: ["of the tests"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["groups"] },
    pkce: { required: () => true },
    ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
    findAccount: (_: unknown, sub: string) => ({ accountId: sub, claims: () => ({ sub, ...ACCOUNTS[sub] }) }),
  };
}

/** It warns of what must not be in production. */
function quietly<T>(work: () => T): T {
  const { warn } = console;
  console.warn = () => {};
  try {
    return work();
  } finally {
    console.warn = warn;
  }
}

function privateKey(): KeyObject {
  const { privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2_048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  return createPrivateKey(privateKey);
}

function resigned(token: string, key: KeyObject, { claims: change = (claims) => claims }: Wrongs): string {
  const [head, body] = token.split(".");
  const claims = change(JSON.parse(Buffer.from(body!, "base64url").toString()));
  const text = `${head}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
  return `${text}.${sign("sha256", Buffer.from(text), key).toString("base64url")}`;
}

export interface Page {
  readonly url: string;
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** A browser of one person without scripts: it keeps cookies by origin, and follows redirects. */
export class PlainBrowser {
  readonly #cookies = new Map<string, Map<string, string>>();
  /** A redirect to a URL that holds this is not followed. */
  stopsAt: string | null = null;

  async open(url: string, form?: Readonly<Record<string, string>>): Promise<Page> {
    const init = form === undefined
      ? {}
      : { method: "POST", body: new URLSearchParams(form), headers: { origin: new URL(url).origin } };
    const page = await this.step(url, init);
    const location = page.headers.get("location");
    const isOver = location === null || (this.stopsAt !== null && location.includes(this.stopsAt));
    return isOver ? page : await this.open(new URL(location, url).href);
  }

  /** One request, without following its redirect. */
  async step(url: string, init: RequestInit = {}): Promise<Page> {
    const { origin } = new URL(url);
    const jar = this.#cookies.getOrInsertComputed(origin, () => new Map());
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(url, {
      ...init,
      redirect: "manual",
      headers: { ...init.headers as Record<string, string>, cookie },
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (value === "" || /max-age=0/i.test(line)) jar.delete(name!);
      else jar.set(name!, value!);
    }
    return { url, status: answer.status, headers: answer.headers, text: await answer.text() };
  }

  /** From the dashboard to the provider, through its login and consent, and back. */
  async signIn(dashboard: string, person: string, next = "/dashboard/audit"): Promise<Page> {
    const page = await this.open(await this.authorizationUrl(dashboard, next));
    return await this.logIn(page, person);
  }

  async authorizationUrl(dashboard: string, next = "/dashboard/audit"): Promise<string> {
    const { headers } = await this.step(`${dashboard}/dashboard/oidc?next=${encodeURIComponent(next)}`);
    return headers.get("location")!;
  }

  /** Fills in the provider's forms, as long as it shows one. */
  async logIn(page: Page, person: string): Promise<Page> {
    const action = /<form[^>]* action="([^"]+)"/.exec(page.text)?.[1];
    const prompt = /name="prompt" value="(\w+)"/.exec(page.text)?.[1];
    if (action === undefined || prompt === undefined) return page;
    const form = prompt === "login" ? { prompt, login: person, password: "of no matter" } : { prompt };
    return await this.logIn(await this.open(new URL(action, page.url).href, form), person);
  }

  cookie(origin: string, name: string): string | undefined {
    return this.#cookies.get(origin)?.get(name);
  }

  setCookie(origin: string, name: string, value: string): void {
    this.#cookies.getOrInsertComputed(origin, () => new Map()).set(name, value);
  }
}
