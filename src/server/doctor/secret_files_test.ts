import assert from "node:assert/strict";
import { examineSecretFiles } from "./secret_files.ts";

Deno.test("examineSecretFiles() looks at the files that a file of upstreams names, too", async () => {
  const dir = await Deno.makeTempDir();
  const [open, closed, upstreams] = ["open", "closed", "upstreams.json"].map((name) => `${dir}/${name}`) as [
    string,
    string,
    string,
  ];
  await Deno.writeTextFile(open, "hush", { mode: 0o644 });
  await Deno.writeTextFile(closed, "hush", { mode: 0o600 });
  const credentials = [{ keyFile: open }, { google: { serviceAccountFile: closed } }, { keyFile: `${dir}/away` }, { keyFile: 7 }];
  await Deno.writeTextFile(upstreams, JSON.stringify([{ credentials }]), { mode: 0o600 });
  const find = () =>
    examineSecretFiles({
      env: (name) => name === "LLMPROXY_UPSTREAMS_FILE" ? upstreams : undefined,
      readFile: (path) => Deno.readTextFileSync(path),
    });
  assert.deepEqual(find().map(({ state, says, advice }) => [state, says, advice]), [
    ["ok", "No other user may read the file that LLMPROXY_UPSTREAMS_FILE names", null],
    [
      "warning",
      `Every user of this machine may read ${open}, which the file of LLMPROXY_UPSTREAMS_FILE names`,
      `chmod o-rwx ${open}`,
    ],
    ["ok", `No other user may read ${closed}, which the file of LLMPROXY_UPSTREAMS_FILE names`, null],
  ]);
  await Deno.writeTextFile(upstreams, "{");
  assert.equal(find().length, 1);
  await Deno.remove(dir, { recursive: true });
});
