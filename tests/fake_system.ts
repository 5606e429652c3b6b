import assert from "node:assert/strict";
import type { CliSystem } from "../src/cli/system.ts";
import { runProgram } from "../src/cli/program.ts";

/** 2026-01-02T03:04:05.000Z */
export const NOW = 1_767_323_045_000;
export const ADMIN_TOKEN = "an-admin-token-of-32-characters!";

/** One call that the program made. */
export interface Call {
  readonly url: string;
  readonly method: string;
  readonly authorization: string | null;
  readonly body: unknown;
}

/** What a test changes of the system; the rest fails where it is used. */
export type Given = Partial<Omit<CliSystem, "source">> & {
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
};

/** Runs the program on that system and gives all that came out. */
export async function run(
  args: readonly string[],
  { env = {}, files = { "./data/admin-token": `${ADMIN_TOKEN}\n` }, ...given }: Given,
) {
  const out = { stdout: "", stderr: "" };
  const code = await runProgram(args, {
    source: {
      env: (name) => env[name],
      names: Object.keys(env),
      readFile: (path) => {
        const text = files[path];
        if (text === undefined) throw new Error(`no such file: readfile '${path}'`);
        return text;
      },
    },
    stdout: (text) => void (out.stdout += text),
    stderr: (text) => void (out.stderr += text),
    writeOut: (bytes) => Promise.resolve(void (out.stdout += new TextDecoder().decode(bytes))),
    isTerminal: () => false,
    screen: () => null,
    keyboard: () => assert.fail("no key was to be read"),
    interrupted: () => assert.fail("the command was not to follow anything"),
    fetch: () => assert.fail("no host was to be asked"),
    now: () => NOW,
    newId: () => "ID",
    randomBytes: (count) => new Uint8Array(count).fill(7),
    runtime: "deno 9.9.9",
    serve: () => assert.fail("serve was not asked for"),
    work: () => assert.fail("worker was not asked for"),
    examine: () => assert.fail("doctor was not asked for"),
    migrate: () => assert.fail("migrate was not asked for"),
    openOffline: () => assert.fail("the data directory was not to be opened"),
    ...given,
  });
  return { code, ...out };
}

/** A fetch that notes each call and gives one answer to all of them. */
export function answering(calls: Call[], status: number, body: unknown): CliSystem["fetch"] {
  return (url, init) => {
    const text = typeof init.body === "string" ? JSON.parse(init.body) : null;
    calls.push({ url, method: init.method ?? "GET", authorization: new Headers(init.headers).get("authorization"), body: text });
    return Promise.resolve(Response.json(body, { status }));
  };
}
