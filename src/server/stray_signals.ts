/**
 * Importing this makes the process ignore signals that log rotation and other tools send to whole
 * groups of processes. main.ts imports it first and alone, because until then SIGUSR1, SIGUSR2 and
 * SIGHUP end the process.
 *
 * A listener is not enough. Half a second after its start, Deno (from 2.9.2 on) opens its debugger
 * on 127.0.0.1:9229 at a SIGUSR1, in spite of listeners. The debugger asks for no token and can
 * read the operator's key. Deno has no switch for it, so the C library is asked to ignore the
 * signal. The listener must come first, because Deno installs its handler once, with the first
 * listener.
 */

/** From each system's signal.h. `sigset_t` is at least this long, and its first bit is SIGHUP's. */
const PLATFORMS = {
  linux: { library: "libc.so.6", SIGUSR1: 10, SIGUSR2: 12, SIG_UNBLOCK: 1, bytesOfSet: 128 },
  darwin: { library: "libSystem.B.dylib", SIGUSR1: 30, SIGUSR2: 31, SIG_UNBLOCK: 2, bytesOfSet: 4 },
} as const;
const SIG_IGN = 1n;
const SIGHUP_ALONE = 1;

/** For the log. */
export const signalWarnings: readonly string[] = Deno.build.os === "windows" ? [] : becomeDeaf();

function becomeDeaf(): readonly string[] {
  const isWorker = Deno.args[0] === "worker";
  Deno.addSignalListener("SIGUSR1", hearNothing);
  Deno.addSignalListener("SIGUSR2", hearNothing);
  // Other commands end with their terminal. A proxy that serves reads its secrets again at SIGHUP.
  if (Deno.args[0] === "serve" || isWorker) Deno.addSignalListener("SIGHUP", hearNothing);
  // A terminal, or systemd, signals all processes of the proxy; the parent tells its workers.
  if (isWorker) { for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, hearNothing); }
  try {
    ignore();
    return [];
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [`SIGUSR1 cannot be ignored here and may open the runtime's debugger on 127.0.0.1:9229: ${why}`];
  }
}

function hearNothing(): void {}

function ignore(): void {
  const { os } = Deno.build;
  if (os !== "linux" && os !== "darwin") throw new Error(`the C library of ${os} is not known`);
  const { library, SIGUSR1, SIGUSR2, SIG_UNBLOCK, bytesOfSet } = PLATFORMS[os];
  // Never closed: the process keeps its C library anyway.
  const { symbols: c } = Deno.dlopen(library, {
    signal: { parameters: ["i32", "isize"], result: "isize" },
    pthread_sigmask: { parameters: ["i32", "buffer", "pointer"], result: "i32" },
  });
  for (const signal of [SIGUSR1, SIGUSR2]) {
    if (c.signal(signal, SIG_IGN) === -1n) throw new Error(`signal ${signal} is refused`);
  }
  // `env --block-signal` blocked SIGHUP until here. One thread that takes it is enough.
  const hangUp = new Uint8Array(bytesOfSet);
  hangUp[0] = SIGHUP_ALONE;
  c.pthread_sigmask(SIG_UNBLOCK, hangUp, null);
}
