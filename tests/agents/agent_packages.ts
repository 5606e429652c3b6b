/**
 * The real agents, from npm, for the tests that run them. No deno.json has them, so only these
 * tests download them. Each is a bundle or a binary: one package, without its dependencies.
 * They stay in a cache outside the tree, so a machine downloads each version once.
 */
import { createHash } from "node:crypto";
import { isThere, testCacheFolder } from "../test_cache.ts";
import { runProgram } from "./agent_process.ts";

/** One version of a package. */
interface AgentPackage {
  readonly name: string;
  readonly version: string;
  /** Of the package's file. Null: the author's registry did not have it; npm checks it alone. */
  readonly integrity: string | null;
  /** What is run, within the package. */
  readonly program: string;
}

export type AgentProgram = "claude-code" | "codex" | "gemini-cli" | "opencode" | "pi" | "qwen-code" | "node";

/** The pins. Platforms are named as `Deno.build` names them; `any` is for all. */
export const AGENT_PACKAGES: Readonly<Record<AgentProgram, Readonly<Record<string, AgentPackage>>>> = {
  "claude-code": {
    "linux-x86_64": {
      ...claudeCode("linux-x64"),
      integrity: "sha512-f4JWhzwYutJIHScC7/dYOPX6s28tt7ZADhsOi8zwOHq5fFPEuUeChh2NMfinSg0GrUckYxaeebC4h0DqiKzLcw==",
    },
    "linux-aarch64": {
      ...claudeCode("linux-arm64"),
      integrity: "sha512-BlHNEtK38KBPWU31F4lUSS9sHclCyfWbThT1CErvxxH8+XcljYLZlQwdyXBkTD62rw1TgfE1u1a+quMWS0NSJg==",
    },
    "darwin-aarch64": {
      ...claudeCode("darwin-arm64"),
      integrity: "sha512-L/F5mypyB7SK59cesiAqGv1bVNd+8xTn0LF5kV6EGL6UMhofVJMFlokhDRoxNzANNC5i/5JdzfJyDOKUbZObiA==",
    },
    "darwin-x86_64": {
      ...claudeCode("darwin-x64"),
      integrity: "sha512-i0GV2ejBOeHMXs+XPCd1IaJj1GV3VdZl8hiQD6hLMR/N7f4Nt8q4Edj1GYJCKXPLJa/zsE9Uv6r9rZ/ldVFQPQ==",
    },
  },
  "codex": {
    "linux-x86_64": {
      ...codex("linux-x64", "x86_64-unknown-linux-musl"),
      integrity: "sha512-l66NZkQgdk2C3pbcfULDz42yEUB581MVA6I+Y43Wp4OIqEy73HCdmZ0GTjeAHY2ycuH4N00d9VsLrwT1jxshTw==",
    },
    "linux-aarch64": {
      ...codex("linux-arm64", "aarch64-unknown-linux-musl"),
      integrity: "sha512-9z17t4bbUJ9UCIb49O4PoA+ki+45q3rd8nZ8PeH6sYnlKkBld/Xpo/OS3h3Ti954+foshX4o7k5TCU8N7zzqQA==",
    },
    "darwin-aarch64": {
      ...codex("darwin-arm64", "aarch64-apple-darwin"),
      integrity: "sha512-hIYTkRUpuYpkVfTq4cpby0PXqhAVcIgE7f6FoyY1lt2RyARj3GXS1Can/dIYUBItVhXzhb98HYHZNzCX74QRlQ==",
    },
    "darwin-x86_64": {
      ...codex("darwin-x64", "x86_64-apple-darwin"),
      integrity: "sha512-pwN5uNEKx/mZjwBEf/6CKq6SJMfJS5kruV3sJQAk7ebIPvC58Ote3CicIxETDZtjLj35rNv3PLPd7mHCg6hGPw==",
    },
  },
  "gemini-cli": {
    any: {
      name: "@google/gemini-cli",
      version: "0.61.0",
      integrity: "sha512-dbQ9A0qBtFJNi6XBkHvfZ6Azpn6PNgH/P8h2MZ67RLlX8hSAVjup39CRWqdRxZv7YXIuhrFaytr8y0jKnkoxnQ==",
      program: "bundle/gemini.js",
    },
  },
  // `baseline` runs on processors without AVX2 too.
  "opencode": {
    "linux-x86_64": {
      ...opencode("linux-x64-baseline"),
      integrity: "sha512-1KQGBiiDDeL/VHHbHkOvvFo8Jr97WT5+C1tear+p7IcDTnXgVHXqIjU4O4jM4mHQzykTP2i884FCnW5LDa+zCA==",
    },
    "linux-aarch64": { ...opencode("linux-arm64"), integrity: null },
    "darwin-aarch64": { ...opencode("darwin-arm64"), integrity: null },
    "darwin-x86_64": { ...opencode("darwin-x64-baseline"), integrity: null },
  },
  "pi": {
    any: {
      name: "@earendil-works/pi-coding-agent",
      version: "1.6.0",
      integrity: "sha512-zX1BVEsshx7A2MRuQ6jfr3RJGWw4Wn+vLq5ZfmlvS1RskhRmByaSZVXH/zcwRrWHO7qPgs98pNCbPOEti/t0fQ==",
      program: "dist/bundle/cli.js",
    },
  },
  "qwen-code": {
    any: {
      name: "@qwen-code/qwen-code",
      version: "0.24.4",
      integrity: "sha512-pmexy/Nj+BKd3Un1ogqGQE8V4GJn5B6N9PQOrU1GH+lMR29kn6Bgf6YdbZa8hNIoTmAKT1LTPK+P8TibZRPPVg==",
      program: "cli-entry.js",
    },
  },
  // pi and Qwen Code need a newer Node than many machines have.
  "node": {
    "linux-x86_64": {
      ...node("linux-x64"),
      integrity: "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
    },
    "linux-aarch64": {
      ...node("linux-arm64"),
      integrity: "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
    },
    "darwin-aarch64": { ...node("darwin-arm64"), integrity: null },
    "darwin-x86_64": { ...node("darwin-x64"), integrity: null },
  },
};

/** The largest file has 186 MB; the machine may be busy and its line slow. */
const INSTALL_MS = 180_000;

const programs = new Map<AgentProgram, Promise<string>>();

/**
 * Returns the program's path, and downloads the program first unless the cache has it.
 * Throws if npm cannot bring it: tests never skip for that.
 */
export function agentProgram(which: AgentProgram): Promise<string> {
  const known = programs.get(which) ?? findOrInstall(which);
  programs.set(which, known);
  // The test that needs the program says what went wrong.
  known.catch(() => {});
  return known;
}

async function findOrInstall(which: AgentProgram): Promise<string> {
  const platform = `${Deno.build.os}-${Deno.build.arch}`;
  const wanted = AGENT_PACKAGES[which].any ?? AGENT_PACKAGES[which][platform];
  if (wanted === undefined) throw new Error(`Cannot run ${which} on ${platform}: npm has no package of it that this table names`);
  const folder = `${testCacheFolder()}/agents/${wanted.name.replace("/", "+")}@${wanted.version}`;
  const program = `${folder}/package/${wanted.program}`;
  if (!isThere(program)) await install(wanted, folder);
  return program;
}

/** The oldest Node that runs pi and Qwen Code. */
const NODE_AT_LEAST = [22, 19] as const;

/** A Node that runs the agents: the machine's own if it is new enough, otherwise npm's. */
export async function nodeProgram(): Promise<string> {
  const { stdout } = await runProgram("node", ["--version"], { deadlineMs: 20_000 }).catch(() => ({ stdout: "" }));
  const [major = 0, minor = 0] = stdout.trim().replace("v", "").split(".").map(Number);
  const isNew = major > NODE_AT_LEAST[0] || major === NODE_AT_LEAST[0] && minor >= NODE_AT_LEAST[1];
  return isNew ? "node" : await agentProgram("node");
}

/** Another run may install the same package now: the folder gets its name once it is whole. */
async function install({ name, version, integrity, program }: AgentPackage, folder: string): Promise<void> {
  const spec = `${name}@${version}`;
  const partial = `${folder}.${crypto.randomUUID()}`;
  await Deno.mkdir(partial, { recursive: true });
  try {
    // `pack` downloads the file, compares it with what the registry says, and runs nothing of it.
    const options = { cwd: partial, env: npmEnv(), deadlineMs: INSTALL_MS };
    const packed = await runProgram("npm", ["pack", spec, "--ignore-scripts", "--loglevel=error"], options);
    if (packed.code !== 0) throw new Error(packed.stderr);
    const file = `${partial}/${[...Deno.readDirSync(partial)].find((entry) => entry.name.endsWith(".tgz"))!.name}`;
    await checkIntegrity(file, integrity);
    const unpacked = await runProgram("tar", ["-xzf", file, "-C", partial], { deadlineMs: INSTALL_MS });
    if (unpacked.code !== 0) throw new Error(unpacked.stderr);
    await Deno.remove(file);
    await Deno.chmod(`${partial}/package/${program}`, 0o755);
    await Deno.rename(partial, folder).catch((error) => {
      if (!isThere(`${folder}/package/${program}`)) throw error;
    });
  } catch (cause) {
    throw new Error(`Cannot install ${spec} for tests: let npm reach its registry, and see that there is room: ${cause}`, {
      cause,
    });
  } finally {
    await Deno.remove(partial, { recursive: true }).catch(() => {});
  }
}

async function checkIntegrity(file: string, integrity: string | null): Promise<void> {
  if (integrity === null) return;
  const hash = createHash("sha512");
  using opened = await Deno.open(file);
  for await (const bytes of opened.readable) hash.update(bytes);
  const got = `sha512-${hash.digest("base64")}`;
  if (got !== integrity) throw new Error(`the file is not the one that was pinned: ${got}`);
}

/** What npm needs to find its registry and its own cache. */
function npmEnv(): Record<string, string> {
  return { ...Deno.env.toObject(), npm_config_update_notifier: "false", npm_config_audit: "false" };
}

function claudeCode(platform: string) {
  return { name: `@anthropic-ai/claude-code-${platform}`, version: "2.1.332", program: "claude" } as const;
}

/** One package has a version for each platform. */
function codex(platform: string, target: string) {
  return { name: "@openai/codex", version: `0.171.0-${platform}`, program: `vendor/${target}/bin/codex` } as const;
}

function opencode(platform: string) {
  return { name: `opencode-${platform}`, version: "1.18.33", program: "bin/opencode" } as const;
}

function node(platform: string) {
  return { name: `node-${platform}`, version: "24.21.0", program: "bin/node" } as const;
}
