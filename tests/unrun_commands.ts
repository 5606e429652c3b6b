/** Commands that `docs_test.ts` does not run, each with the reason and what it checks instead. */
import assert from "node:assert/strict";
import { inheritedEnv, runCommandLine } from "./proxy_process.ts";
import { run } from "./dev_process.ts";

const ROOT = new URL("../", import.meta.url);

export interface UnrunCommand {
  readonly matches: RegExp;
  readonly reason: string;
  /** Throws if the command contradicts the tree. */
  readonly check: (command: string) => void | Promise<void>;
}

const UNIT = read("deploy/llmproxy.service");
const DOCKERFILE = read("Dockerfile");
const KEY_FILE = /^LoadCredential=[\w-]+:(\S+)$/m.exec(UNIT)![1]!;
const STATE = `/var/lib/${/^StateDirectory=(\S+)$/m.exec(UNIT)![1]}`;
const IMAGE_USER = /^USER (\d+)/m.exec(DOCKERFILE)![1]!;
const STOP_SECONDS = /^TimeoutStopSec=(\d+)$/m.exec(UNIT)![1]!;
const TASKS = JSON.parse(read("deno.json")).tasks as Readonly<Record<string, string>>;

export const UNRUN_COMMANDS: readonly UnrunCommand[] = [
  {
    matches: /^npx -y deno@/,
    reason:
      "a task serves, takes minutes or downloads; dev_task_test.ts and demo_task_test.ts run two, and the gate runs the others",
    check: (command) => assert.ok(/ task (\w+)/.exec(command)![1]! in TASKS),
  },
  {
    matches: /^sudo install /,
    reason: "it writes into the machine as the superuser",
    check: (command) => {
      for (const path of command.match(/deploy\/\S+/g) ?? []) Deno.statSync(new URL(path, ROOT));
      if (command.includes("anthropic-api-key")) assert.ok(command.includes(KEY_FILE));
      if (command.includes("container-key")) assert.match(command, new RegExp(` -m 0400 -o ${IMAGE_USER} `));
      if (command.includes(".service")) assert.match(command, /deploy\/llmproxy\.service \/etc\/systemd\/system\/$/);
      if (command.includes("llmproxy.env")) assert.match(UNIT, /^EnvironmentFile=-\/etc\/llmproxy\/llmproxy\.env$/m);
      if (command.includes("/usr/local/bin")) assert.match(UNIT, /^ExecStart=.* \/usr\/local\/bin\/llmproxy serve$/m);
      if (command.includes("llmproxy.db")) assert.ok(command.includes(` ${STATE}/llmproxy.db`));
    },
  },
  {
    matches: /^sudo test -s /,
    reason: "it starts the unit",
    check: async (command) => {
      assert.ok(command.includes(`test -s ${KEY_FILE} &&`));
      await verifyUnit();
    },
  },
  { matches: /^sudo systemctl (stop|start|restart) llmproxy$/, reason: "it controls the unit", check: () => {} },
  {
    matches: /^sudo (sh -c 'rm -f|chown) /,
    reason: "it replaces a stopped proxy's database; backup_test.ts takes the same steps",
    check: (command) => {
      if (command.includes("rm -f")) assert.equal(command, `sudo sh -c 'rm -f ${STATE}/llmproxy.db* ${STATE}/spool-*.db*'`);
      else assert.match(command, new RegExp(`--reference=${STATE}/ ${STATE}/llmproxy.db$`));
    },
  },
  {
    matches: /^docker (build|run|exec|stop) /,
    reason: "it needs a container engine, and the build downloads images",
    check: (command) => {
      const volume = /^VOLUME (\S+)$/m.exec(DOCKERFILE)![1]!;
      if (command.startsWith("docker run")) {
        assert.ok(command.includes(`-v llmproxy:${volume} `));
        assert.ok(command.includes(`-p 8081:${/^EXPOSE (\d+)$/m.exec(DOCKERFILE)![1]}`));
        const mounted = /container-key:(\S+):ro/.exec(command)![1]!;
        assert.ok(command.includes(`ANTHROPIC_API_KEY_FILE=${mounted} `));
      }
      if (command.startsWith("docker stop")) assert.match(command, new RegExp(`^docker stop -t ${STOP_SECONDS} llmproxy`));
      if (command.startsWith("docker exec")) assert.match(command, /^docker exec llmproxy llmproxy token create /);
      for (const source of DOCKERFILE.match(/COPY (?!--from|\. )\S+/g) ?? []) Deno.statSync(new URL(source.slice(5), ROOT));
    },
  },
  {
    matches: /^(llmproxy doctor$|sudo sh -c 'set -a)/,
    reason: "it asks the real upstream and reads a unit's files; doctor_test.ts runs it",
    check: (command) => {
      if (!command.startsWith("sudo")) return;
      assert.ok(command.includes(`LLMPROXY_DATA_DIR=${STATE} `) && command.includes(`ANTHROPIC_API_KEY_FILE=${KEY_FILE} `));
      assert.match(UNIT, /^EnvironmentFile=-\/etc\/llmproxy\/llmproxy\.env$/m);
    },
  },
  {
    matches: /^llmproxy (tail|top(?! --once))\b/,
    reason: "it goes on until Ctrl-C; tail_test.ts and top_test.ts run it",
    check: async (command) => {
      const { code, stderr } = await runCommandLine([...command.split(/ +#/)[0]!.split(" ").slice(1), "--help"], {});
      assert.equal(code, 0, stderr);
    },
  },
  {
    matches: /^env --block-signal=/,
    reason: "it serves until it is stopped; stray_signals_test.ts runs it",
    check: (command) => {
      const [, signals] = /--block-signal=(\S+)/.exec(command)!;
      assert.ok(UNIT.includes(`--block-signal=${signals} `));
      assert.ok(DOCKERFILE.includes(`"--block-signal=${signals}"`));
    },
  },
];

/** `systemd-analyze` accepts the unit, if the machine has that program. */
async function verifyUnit(): Promise<void> {
  const env = { ...inheritedEnv(), LC_ALL: "C" };
  const unit = new URL("deploy/llmproxy.service", ROOT).pathname;
  const ran = await run("systemd-analyze", ["verify", unit], { env }).catch(() => null);
  if (ran !== null) assert.deepEqual([ran.code, ran.stderr.includes("llmproxy.service")], [0, false], ran.stderr);
}

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}
