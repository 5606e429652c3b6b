/** How long tests wait for what should come at once, on a busy machine. */
const DEFAULT_DEADLINE_MS = 15_000;

/**
 * Waits until `condition` gives something else than false or null, and gives that; throws after the
 * deadline, naming `what`.
 */
export async function waitFor<T>(
  condition: () => T | false | null | Promise<T | false | null>,
  { what, deadlineMs = DEFAULT_DEADLINE_MS }: { readonly what: string; readonly deadlineMs?: number },
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const got = await condition();
    if (got !== false && got !== null) return got;
    if (performance.now() > deadline) throw new Error(`Waited ${deadlineMs} ms for ${what}: it did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A door that a test opens: all who pass wait until then. */
export interface Gate {
  readonly passed: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { passed: promise, open: resolve };
}

/** True if the promise is still pending after all that is ready has run, or after so long. */
export async function isPending(promise: Promise<unknown>, ms = 5): Promise<boolean> {
  const pending = Symbol();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const turn = new Promise((resolve) => void (timer = setTimeout(() => resolve(pending), ms)));
  return await Promise.race([promise, turn]).finally(() => clearTimeout(timer)) === pending;
}
