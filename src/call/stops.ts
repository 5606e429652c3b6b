import { Fault } from "../domain/fault.ts";
import type { RunningCall } from "../domain/running_call.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import type { SuspensionScope } from "../domain/suspensions.ts";
import type { Caller } from "./authenticate.ts";
import type { Traffic } from "./traffic.ts";

/** To a sandbox that is suspended, or whose workspace is. */
export const SUSPENDED =
  "An operator has suspended this sandbox or its workspace. Asking again does not help until it is resumed.";

/** The decisions that stop a call, and what its client is told. The name is also its fault. */
export const STOPS = {
  suspended: SUSPENDED,
  unauthenticated: "This proxy token works no more.",
  sandbox_inactive: "sandbox not active",
  call_cut: "An operator has cut this call.",
} as const;
export type StopReason = keyof typeof STOPS;

/** A call that waits or is in flight, and can be listed and stopped. */
export interface Stoppable {
  readonly caller: Caller;
  readonly show: () => RunningCall;
  readonly stop: (why: StopReason) => void;
}

/** The stop buttons over the calls of this process, and the suspensions that its callers meet. */
export class Stops {
  readonly #traffic: Traffic;
  /** By workspace: its suspended sandboxes; null is the whole workspace. */
  #suspended = new Map<string, Set<string | null>>();

  constructor(traffic: Traffic) {
    this.#traffic = traffic;
  }

  isSuspended({ workspaceId, sandboxId }: Sandbox): boolean {
    const sandboxes = this.#suspended.get(workspaceId);
    return sandboxes !== undefined && (sandboxes.has(null) || sandboxes.has(sandboxId));
  }

  /** Throws `Fault` `suspended` if the sandbox may make no call. */
  assertMayCall(sandbox: Sandbox): void {
    if (this.isSuspended(sandbox)) throw new Fault("suspended", SUSPENDED, { sandbox });
  }

  /** From now on these are all suspensions. Stops the calls in flight that one of them meets. */
  suspend(all: readonly SuspensionScope[]): void {
    const suspended = new Map<string, Set<string | null>>();
    for (const { workspaceId, sandboxId } of all) {
      suspended.set(workspaceId, (suspended.get(workspaceId) ?? new Set()).add(sandboxId));
    }
    this.#suspended = suspended;
    this.stop("suspended", ({ sandbox }) => this.isSuspended(sandbox));
  }

  /** Stops the calls whose callers `which` picks. */
  stop(why: StopReason, which: (caller: Caller) => boolean): void {
    for (const call of this.#traffic.calls()) if (which(call.caller)) call.stop(why);
  }

  /** Ids of the local tokens whose calls are in flight, each once. */
  tokenIds(): readonly string[] {
    return [...new Set(this.#traffic.calls().flatMap(({ caller }) => caller.sandbox.tokenId ?? []))];
  }

  /** Oldest first. */
  list(): readonly RunningCall[] {
    return this.#traffic.calls().map((call) => call.show()).sort((a, b) => b.ageMs - a.ageMs);
  }

  /** As `RunningCalls.cut`. */
  cut(id: string): RunningCall | null {
    for (const call of this.#traffic.calls()) {
      const shown = call.show();
      if (shown.id !== id) continue;
      call.stop("call_cut");
      return shown;
    }
    return null;
  }
}
