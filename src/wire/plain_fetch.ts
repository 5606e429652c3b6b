import { framingTrouble } from "./headers.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** A fetch that rejects if the answer's framing does not tell where its body ends. */
export function plainFetch(fetch: Fetch): Fetch {
  return async (url, init) => {
    const answer = await fetch(url, init);
    const trouble = framingTrouble(answer.headers);
    if (trouble === null) return answer;
    answer.body?.cancel().catch(() => {});
    throw new Error(trouble);
  };
}
