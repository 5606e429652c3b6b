/** Shell completions: what `llmproxy complete SHELL` prints, as the shell runs it. */
import assert from "node:assert/strict";
import { run } from "../dev_process.ts";
import { inheritedEnv, MAIN, runCommandLine } from "../proxy_process.ts";

/** What the package bash-completion gives to completions: the words, and that under the cursor. */
const BASH_COMPLETION = `
_get_comp_words_by_ref() { words=("\${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur="\${words[cword]}"; prev="\${words[cword-1]}"; }`;

Deno.test("bash completes commands, options and their choices", async () => {
  const { code, stdout: script } = await runCommandLine(["complete", "bash"], {});
  assert.equal(code, 0);
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/llmproxy`, `#!/bin/sh\nexec '${Deno.execPath()}' run -A '${MAIN}' "$@"\n`, { mode: 0o755 });
  const env = { ...inheritedEnv(), PATH: `${folder}:${Deno.env.get("PATH")}` };
  const completed = async (...words: readonly string[]) => {
    const typed = ["llmproxy", ...words].map((word) => `'${word}'`).join(" ");
    const line = `${script}\n${BASH_COMPLETION}\nCOMP_WORDS=(${typed}); COMP_CWORD=${words.length}\n` +
      `compopt() { :; }; __llmproxy_complete; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const ran = await run("bash", ["--norc", "-c", line], { env });
    assert.equal(ran.code, 0, ran.stderr);
    return ran.stdout.trim().split("\n");
  };
  assert.deepEqual(await completed("us"), ["usage"]);
  assert.deepEqual(await completed("token", "re"), ["revoke"]);
  assert.deepEqual(await completed("traces", "--sand"), ["--sandbox"]);
  assert.deepEqual(await completed("usage", "--order", "co"), ["cost"]);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("zsh and fish get completions too, and another shell is refused with 2", async () => {
  assert.match((await runCommandLine(["complete", "zsh"], {})).stdout, /^#compdef llmproxy$/m);
  assert.match((await runCommandLine(["complete", "fish"], {})).stdout, /^complete -c llmproxy /m);
  const { code, stdout } = await runCommandLine(["complete", "tcsh"], {});
  assert.deepEqual([code, stdout], [2, ""]);
});
