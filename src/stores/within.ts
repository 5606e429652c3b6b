/** Rejects where the work takes longer; it goes on all the same. */
export function within<T>(ms: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("too late")), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
