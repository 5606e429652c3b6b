import assert from "node:assert/strict";
import { examineDataDir, spaceOf } from "./data_dir.ts";

const GB = 1_000_000_000;

Deno.test("spaceOf() warns of little space, and fails where the proxy takes no calls", () => {
  const stateOf = (free: number, all = 100 * GB, hasInodes = true) => spaceOf({ free, all, hasInodes }).state;
  assert.deepEqual([50 * GB, 4 * GB, 0.5 * GB, 60_000_000].map((free) => stateOf(free)), ["ok", "warning", "warning", "failed"]);
  assert.equal(stateOf(0.9 * GB, 1 * GB), "warning");
  assert.equal(stateOf(50 * GB, 100 * GB, false), "failed");
});

Deno.test("examineDataDir() leaves nothing behind, and tells a missing directory from one that cannot be made", async () => {
  const dir = await Deno.makeTempDir();
  const found = examineDataDir(dir);
  assert.deepEqual([found[0]!.state, [...Deno.readDirSync(dir)]], ["ok", []]);
  assert.match(examineDataDir(`${dir}/a/b`)[0]!.says, /is not there yet; serve makes it$/);
  await Deno.writeTextFile(`${dir}/file`, "");
  assert.equal(examineDataDir(`${dir}/file`)[0]!.state, "failed");
  assert.equal(examineDataDir(`${dir}/file/below`)[0]!.state, "failed");
  assert.equal(examineDataDir("/proc/llmproxy")[0]!.state, "failed");
  await Deno.remove(dir, { recursive: true });
});
