/** A signal that aborts with `reason` when the time has passed. */
export function limitOf(seconds: number, reason: Error): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(reason), seconds * 1_000);
  return { signal: controller.signal, [Symbol.dispose]: () => clearTimeout(timer) };
}

/** What the promise gives, or the signal's reason, whichever comes first. */
export async function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
