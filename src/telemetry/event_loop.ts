/** How often the event loop is looked at: a shorter stall may fall between two looks. */
const EVERY_MS = 25;

/**
 * Tells how late a timer comes, in seconds: as long as that, the event loop served nobody. Returns what ends it.
 * `elapsed` is a clock in milliseconds that never goes back. (Deno's `monitorEventLoopDelay` does not measure stalls.)
 */
export function watchEventLoop(elapsed: () => number, tell: (delaySeconds: number) => void): () => void {
  let due = elapsed() + EVERY_MS;
  const timer = setInterval(() => {
    const at = elapsed();
    tell(Math.max(at - due, 0) / 1000);
    due = at + EVERY_MS;
  }, EVERY_MS);
  Deno.unrefTimer(timer);
  return () => clearInterval(timer);
}
