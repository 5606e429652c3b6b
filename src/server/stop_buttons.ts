import type { Stops } from "../call/stops.ts";
import type { RunningCalls } from "../domain/running_call.ts";
import type { SuspensionScope } from "../domain/suspensions.ts";
import type { LocalTokens } from "../identity/local_tokens.ts";

/** What can be asked of the calls in flight: of one process, or of all workers of a machine. */
export interface StopButtons extends RunningCalls {
  /** From now on these are all suspensions. Calls that one of them meets are cut. */
  readonly suspend: (all: readonly SuspensionScope[]) => Promise<void>;
  /** These local tokens work no more. Their calls are cut. */
  readonly revoke: (tokenIds: readonly string[]) => Promise<void>;
  /** Ids of the local tokens whose calls are in flight. */
  readonly tokenIds: () => Promise<readonly string[]>;
}

/** Of this process. */
export function stopButtonsOf(stops: Stops, tokens: Pick<LocalTokens, "forget">): StopButtons {
  return {
    list: () => Promise.resolve(stops.list()),
    cut: (id) => Promise.resolve(stops.cut(id)),
    suspend: (all) => Promise.resolve(stops.suspend(all)),
    revoke: (tokenIds) => {
      for (const id of tokenIds) tokens.forget(id);
      stops.stop("unauthenticated", ({ sandbox: { tokenId } }) => tokenId !== null && tokenIds.includes(tokenId));
      return Promise.resolve();
    },
    tokenIds: () => Promise.resolve(stops.tokenIds()),
  };
}
