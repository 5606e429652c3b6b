import assert from "node:assert/strict";
import { startFakeUpstream } from "../fake_upstream.ts";
import { type ProcessOptions, type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { waitFor } from "../wait.ts";

const STRAY = ["SIGUSR1", "SIGUSR2", "SIGHUP"] as const;
const HUP = 1 << 0, USR1 = 1 << 9, USR2 = 1 << 11;
/**
 * Half a second after its start the runtime begins to open its debugger at a SIGUSR1. The rest is
 * for a busy machine.
 */
const RUNTIME_LISTENS_MS = 1_500;
const ROOT = new URL("../../", import.meta.url);
const ignore = Deno.build.os !== "linux";

Deno.test("Signals of a log rotation neither end the proxy nor open a port, from its first import on", { ignore }, async () => {
  await withProxy({
    onSpawned: async (pid) => {
      await waitFor(() => has(pid, "SigIgn", USR1 | USR2) && has(pid, "SigCgt", HUP), { what: "the process to be deaf" });
      for (const signal of [...STRAY, ...STRAY]) Deno.kill(pid, signal);
    },
  }, staysDeaf);
});

Deno.test("Started by env as the systemd unit and the image do, the proxy outlives such signals from its first moment", {
  ignore,
}, async () => {
  const launcher = launcherOfUnit();
  const entry = Deno.readTextFileSync(new URL("Dockerfile", ROOT)).match(/^ENTRYPOINT (.+)$/m)?.[1];
  assert.deepEqual(JSON.parse(entry!), [...launcher, "/usr/local/bin/llmproxy"]);
  await withProxy({
    launcher,
    onSpawned: async (pid) => {
      await waitFor(() => has(pid, "SigBlk", HUP | USR1 | USR2), { what: "env to block the signals" });
      for (const signal of [...STRAY, ...STRAY]) Deno.kill(pid, signal);
    },
  }, async (proxy, spawnedBefore) => {
    assert.equal(has(proxy.pid, "SigBlk", HUP), false, "SIGHUP is heard");
    await staysDeaf(proxy, spawnedBefore);
  });
});

async function withProxy(
  options: Pick<ProcessOptions, "launcher" | "onSpawned">,
  check: (proxy: ProxyProcess, spawnedBefore: number) => Promise<void>,
): Promise<void> {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  await using upstream = await startFakeUpstream();
  {
    const spawnedBefore = performance.now();
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, ...options });
    await check(proxy, spawnedBefore);
  }
  await Deno.remove(dataDir, { recursive: true });
}

async function staysDeaf(proxy: ProxyProcess, spawnedBefore: number): Promise<void> {
  await waitFor(() => performance.now() - spawnedBefore > RUNTIME_LISTENS_MS, { what: "the runtime to listen to SIGUSR1" });
  const before = rereads(proxy);
  for (const signal of ["SIGUSR1", "SIGUSR2", "SIGUSR1", "SIGUSR2", "SIGHUP"] as const) proxy.kill(signal);
  await waitFor(() => rereads(proxy) > before, { what: "the secrets to be read again" });
  assert.deepEqual(await (await fetch(`${proxy.url}/healthz`)).json(), { status: "ok" });
  assert.ok(has(proxy.pid, "SigIgn", USR1 | USR2), "ignored by the process itself, not only held back");
  assert.deepEqual(listeningPorts(proxy.pid), [portOf(proxy.url), portOf(proxy.adminUrl)].toSorted());
  assert.doesNotMatch(proxy.output(), /debugger/i);
  proxy.kill("SIGTERM");
  assert.equal((await proxy.exited()).code, 0);
}

function rereads(proxy: ProxyProcess): number {
  return proxy.logs().filter((record) => record.msg === "the secrets were read again").length;
}

/** The words of `ExecStart` before the program. */
function launcherOfUnit(): readonly string[] {
  const unit = Deno.readTextFileSync(new URL("deploy/llmproxy.service", ROOT));
  const words = unit.match(/^ExecStart=(.+) \/usr\/local\/bin\/llmproxy serve$/m)?.[1];
  assert.ok(words !== undefined);
  return words.split(" ");
}

/** Whether all these signals are in that set of the process. */
function has(pid: number, set: "SigBlk" | "SigIgn" | "SigCgt", signals: number): boolean {
  const hex = Deno.readTextFileSync(`/proc/${pid}/status`).match(new RegExp(`^${set}:\\s+([0-9a-f]+)$`, "m"))?.[1];
  return (Number.parseInt(hex!.slice(-8), 16) & signals) === signals;
}

/** Of TCP, of that process alone. */
function listeningPorts(pid: number): readonly number[] {
  const inodes = new Set<string>();
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    const inode = linkOf(`/proc/${pid}/fd/${name}`).match(/^socket:\[(\d+)\]$/)?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  return ["tcp", "tcp6"].flatMap((table) => {
    const rows = Deno.readTextFileSync(`/proc/${pid}/net/${table}`).trim().split("\n").slice(1).map((row) =>
      row.trim().split(/\s+/)
    );
    return rows.filter((row) => row[3] === "0A" && inodes.has(row[9]!)).map((row) => Number.parseInt(row[1]!.split(":")[1]!, 16));
  }).toSorted();
}

/** Empty where the file has just been closed. */
function linkOf(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}
