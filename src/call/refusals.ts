import { Fault } from "../domain/fault.ts";
import type { Ledger, RunRefusals } from "../domain/ledger.ts";
import type { Sandbox } from "../domain/sandbox.ts";

/** The error as a fault that names who asked, for the log line and the counters. */
export function refusedTo(
  error: unknown,
  asker: { readonly sandbox: Sandbox; readonly userId?: string | null | undefined },
): Fault {
  const fault = faultOf(error);
  if (fault.sandbox !== null) return fault;
  const { code, message, cause, retryAfterSeconds, plainMessage } = fault;
  return new Fault(code, message, { cause, retryAfterSeconds, plainMessage, ...asker });
}

/** The error, if it is a refusal; otherwise the refusal for what should not have happened. */
export function faultOf(error: unknown): Fault {
  return error instanceof Fault ? error : new Fault("internal_error", "The proxy failed on this call.", { cause: error });
}

const MINUTE_MS = 60_000;

/** The most counters between two flushes. Further refusals are counted without a sandbox. */
const MAX_COUNTERS = 5_000;

/** Counts refusals by sandbox, fault and minute, until `flush` hands them to the ledger. */
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

  /** Commits the counts. If the ledger fails, they are kept for the next time. Never rejects. */
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
