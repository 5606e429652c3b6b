/** Where a machine of AWS finds the keys of its role: on an instance, or in a container. */
export class FakeMetadataService implements AsyncDisposable {
  /** What it was asked for, as `METHOD path`. */
  readonly seen: string[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #keys: (mint: number) => unknown;
  #mints = 0;

  /** `keys`: the answer to the first question for keys (1), and so on. A text is sent as it is. */
  constructor(keys: (mint: number) => unknown) {
    this.#keys = keys;
    this.#server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => this.#answer(request));
  }

  /** What a process has in its environment on an instance. There are no shared files. */
  get instance(): Readonly<Record<string, string>> {
    return { ...NO_FILES, AWS_EC2_METADATA_SERVICE_ENDPOINT: this.#url };
  }

  /** The same in a container. */
  get container(): Readonly<Record<string, string>> {
    return {
      ...NO_FILES,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${this.#url}/container`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: "container-token",
    };
  }

  get mints(): number {
    return this.#mints;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  get #url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async #answer({ method, url, headers }: Request): Promise<Response> {
    const path = new URL(url).pathname;
    this.seen.push(`${method} ${path}`);
    if (`${method} ${path}` === "PUT /latest/api/token") {
      return new Response(headers.has("x-aws-ec2-metadata-token-ttl-seconds") ? "instance-token" : null);
    }
    const isKnown = path === "/container"
      ? headers.get("authorization") === "container-token"
      : headers.get("x-aws-ec2-metadata-token") === "instance-token";
    if (!isKnown) return new Response("who are you?", { status: 401 });
    if (path === `${ROLES}proxy-role` || path === "/container") {
      const keys = await this.#keys(++this.#mints);
      return typeof keys === "string" ? new Response(keys) : Response.json(keys);
    }
    return path === ROLES ? new Response("proxy-role") : new Response(null, { status: 404 });
  }
}

const ROLES = "/latest/meta-data/iam/security-credentials/";
const NO_FILES = { AWS_SHARED_CREDENTIALS_FILE: "/nowhere/credentials", AWS_CONFIG_FILE: "/nowhere/config" };

/** Keys as both services answer them. */
export function roleKeys(name: string, expiresAt: number): object {
  return {
    Code: "Success",
    AccessKeyId: `ASIA${name}`,
    SecretAccessKey: `secret-of-${name}`,
    Token: `token-of-${name}`,
    Expiration: new Date(expiresAt).toISOString(),
  };
}
