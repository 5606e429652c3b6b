/** Stands where an agent's HTTP proxy would be, refuses all, and shows who the agent called. */
export interface OutsideWorld extends AsyncDisposable {
  /** The variables that send an agent here with whatever is not on loopback. */
  readonly env: Readonly<Record<string, string>>;
  readonly asked: readonly string[];
}

export function startOutsideWorld(): OutsideWorld {
  const asked: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ method, url }) => {
    asked.push(`${method} ${url}`);
    return new Response("no host is here", { status: 403 });
  });
  const url = `http://127.0.0.1:${server.addr.port}`;
  return {
    env: { HTTPS_PROXY: url, HTTP_PROXY: url, NO_PROXY: "127.0.0.1,localhost", NODE_USE_ENV_PROXY: "1" },
    asked,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
