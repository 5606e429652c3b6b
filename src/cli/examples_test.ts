import assert from "node:assert/strict";
import { run } from "../../tests/fake_system.ts";
import { commandsIn, EXAMPLES } from "./examples.ts";
import { programOf } from "./program.ts";

const PROGRAM = programOf({ now: () => 0 } as Parameters<typeof programOf>[0], { code: 0 });
const COMMANDS = new Map(commandsIn(PROGRAM));

Deno.test("EXAMPLES has examples of every command, and of no other", () => {
  assert.deepEqual(Object.keys(EXAMPLES).toSorted(), [...COMMANDS.keys()].toSorted());
});

for (const [words, examples] of Object.entries(EXAMPLES)) {
  Deno.test(`llmproxy ${words} --help shows its options and examples that it takes`, async () => {
    const { code, stdout } = await run([...words.split(" "), "--help"], {});
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^Usage: llmproxy ${words} `));
    const command = COMMANDS.get(words)!;
    const known = command.options.flatMap(({ long, required }) =>
      long === undefined || long === null ? [] : [[long, required] as const]
    );
    for (const example of examples) {
      assert.ok(stdout.includes(`\n  ${example}\n`), example);
      const [, given] = example.split(`llmproxy ${words}`);
      assert.notEqual(given, undefined, example);
      const options = given!.split(/[|>]/)[0]!.match(/--[a-z-]+/g) ?? [];
      for (const option of options) assert.ok(new Map(known).has(option), `${words} has no ${option}`);
    }
  });
}

Deno.test("an option with choices refuses others, and says which there are", async () => {
  const { code, stderr } = await run(["usage", "--order", "price"], {});
  assert.equal(code, 2);
  assert.match(stderr, /Allowed choices are tokens, cost, requests/);
  const groups = await run(["usage", "--by", "colour"], {});
  assert.equal(groups.code, 2);
  assert.match(groups.stderr, /Expected one or more of provider, upstream, model, workspace/);
  for (const args of [["usage", "--limit", "0"], ["tail", "--workspace", ""], ["top", "--interval", "0"], ["trace"]]) {
    assert.equal((await run(args, {})).code, 2, args.join(" "));
  }
});
