/** An operator with a command line, somewhere else than the proxy. */
import assert from "node:assert/strict";
import { runCommandLine } from "./proxy_process.ts";
import { onTerminal, plain } from "./terminal.ts";

export interface Operator {
  readonly env: Readonly<Record<string, string>>;
  /** What the command prints into a pipe; throws unless it ends well. */
  readonly piped: (...args: readonly string[]) => Promise<string>;
  /** The same on a terminal, which it must not change, without colours. */
  readonly terminal: (...args: readonly string[]) => Promise<string>;
  /** What `--json` prints, read. */
  readonly json: (...args: readonly string[]) => Promise<Record<string, unknown>>;
}

export function operatorOf({ adminUrl, adminToken }: { readonly adminUrl: string; readonly adminToken: string }): Operator {
  const env = { LLMPROXY_ADMIN_URL: adminUrl, LLMPROXY_ADMIN_TOKEN: adminToken };
  async function piped(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runCommandLine(args, env);
    assert.equal(code, 0, `llmproxy ${args.join(" ")}: ${stdout}${stderr}`);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/, "nothing in a pipe steers a terminal");
    return stdout;
  }
  return {
    env,
    piped,
    terminal: async (...args) => {
      const { code, written } = await onTerminal(args, { env });
      assert.equal(code, 0, written);
      return plain(written).replaceAll("\r\n", "\n");
    },
    json: async (...args) => JSON.parse(await piped(...args, "--json")),
  };
}
