import type { Command } from "commander";

/** Lines that `--help` shows, by command. A test holds that every command has some it takes. */
export const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  "serve": ["ANTHROPIC_API_KEY_FILE=/etc/llmproxy/key llmproxy serve"],
  "migrate": ["llmproxy migrate"],
  "usage": [
    "llmproxy usage --since 30d --by workspace,model --order cost",
    "llmproxy usage --workspace acme --by day --order time --json",
  ],
  "traces": ["llmproxy traces --order cost --limit 10", "llmproxy traces --workspace acme --outcome upstream_error --since 12h"],
  "trace": ["llmproxy trace run-1 --workspace acme"],
  "tail": ["llmproxy tail --workspace acme", "llmproxy tail --json | jq .costUsd"],
  "top": ["llmproxy top --interval 5", "llmproxy top --once --workspace acme"],
  "requests": ["llmproxy requests --workspace acme --sandbox sb-1"],
  "requests cut": ["llmproxy requests cut ar-01JZ…"],
  "token create": [
    "llmproxy token create --workspace acme --sandbox sb-1 --expires 30d",
    "llmproxy token create --workspace acme --sandbox sb-1 --json",
  ],
  "token list": ["llmproxy token list --workspace acme"],
  "token revoke": ["llmproxy token revoke lt-01JZ…"],
  "quota get": ["llmproxy quota get acme", "llmproxy quota get acme --sandbox sb-1"],
  "quota set": ["llmproxy quota set acme --cost-per-day 50 --concurrent 8", "llmproxy quota set acme --trace run-1 --rpd none"],
  "quota clear": ["llmproxy quota clear acme --sandbox sb-1"],
  "suspend": ['llmproxy suspend acme --reason "the budget is spent"', "llmproxy suspend acme --sandbox sb-1"],
  "resume": ["llmproxy resume acme --sandbox sb-1"],
  "reship": ["llmproxy reship --since 2h"],
  "reprice": ["llmproxy reprice --since 30d --dry-run", "llmproxy reprice --since 2026-01-01T00:00:00Z --until 30d --rows"],
  "export": [
    "llmproxy export --format csv --since 30d --output usage.csv",
    "llmproxy export --format ndjson --workspace acme | gzip > acme.ndjson.gz",
  ],
  "audit": ["llmproxy audit --since 7d --workspace acme"],
  "prices": ["llmproxy prices", "llmproxy prices claude-haiku-4-5 --json"],
  "backup": ["llmproxy backup /backup/llmproxy.db"],
  "import": [
    "llmproxy import --from postgres://user@host/agentserver",
    "llmproxy import --from /etc/llmproxy/agentserver-url --offline",
  ],
  "doctor": ["llmproxy doctor", "llmproxy doctor --json | jq '.findings[] | select(.state == \"failed\")'"],
  "health": ["llmproxy health --ready"],
  "version": ["llmproxy version"],
  "complete": [
    "llmproxy complete bash > ~/.local/share/bash-completion/completions/llmproxy",
    "llmproxy complete fish > ~/.config/fish/completions/llmproxy.fish",
  ],
};

/** The commands that do something, with their words. */
export function commandsIn(program: Command, words: readonly string[] = []): readonly (readonly [string, Command])[] {
  const below = program.createHelp().visibleCommands(program).filter((command) => command.name() !== "help");
  const own: readonly (readonly [string, Command])[] =
    words.length > 0 && (below.length === 0 || EXAMPLES[words.join(" ")] !== undefined) ? [[words.join(" "), program]] : [];
  return [...own, ...below.flatMap((command) => commandsIn(command, [...words, command.name()]))];
}

export function addExamples(program: Command): void {
  for (const [words, command] of commandsIn(program)) {
    const examples = EXAMPLES[words] ?? [];
    command.addHelpText("after", `\nExamples:\n${examples.map((example) => `  ${example}\n`).join("")}`);
  }
}
