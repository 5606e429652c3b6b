import type { Fault } from "../domain/fault.ts";
import type { Ledger, RunRefusals } from "../domain/ledger.ts";
import type { Sandbox } from "../domain/sandbox.ts";

const MINUTE_MS = 60_000;

/** The most counters that are kept between two flushes. What comes beyond is counted for no sandbox in particular. */
const MAX_COUNTERS = 5_000;

/** Counts refusals by sandbox, fault and minute in memory, and hands them to the ledger now and then. */
export class Refusals {
  readonly #instanceId: string;
  #counts = new Map<string, RunRefusals>();

  /** `instanceId`: the run of the proxy that counts. */
  constructor(instanceId: string) {
    this.#instanceId = instanceId;
  }

  count(fault: Fault, options: { readonly sandbox: Sandbox | null; readonly at: number }): void {
    const minute = options.at - options.at % MINUTE_MS;
    const own = this.#counts.size < MAX_COUNTERS ? options.sandbox : null;
    const workspaceId = own?.workspaceId ?? "";
    const sandboxId = own?.sandboxId ?? "";
    const key = JSON.stringify([workspaceId, sandboxId, fault.code, minute]);
    const count = (this.#counts.get(key)?.count ?? 0) + 1;
    this.#counts.set(key, { workspaceId, sandboxId, fault: fault.code, minute, instanceId: this.#instanceId, count });
  }

  /** Commits what was counted. Where the ledger cannot, the counts are kept for the next time. */
  async flush(ledger: Ledger): Promise<void> {
    if (this.#counts.size === 0) return;
    const counts = this.#counts;
    this.#counts = new Map();
    try {
      await ledger.countRefusals([...counts.values()]);
    } catch {
      for (const [key, kept] of counts) {
        this.#counts.set(key, { ...kept, count: kept.count + (this.#counts.get(key)?.count ?? 0) });
      }
    }
  }
}
