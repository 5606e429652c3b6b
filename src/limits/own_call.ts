import { type Bound, LIMIT_KINDS, type LimitRefusal, type Reservation } from "../domain/limits.ts";

/** A call that this machine admits. */
export interface Own {
  readonly reservation: Reservation;
  readonly bounds: readonly Bound[];
}

/** One that waits for a place. */
export interface Waiter extends Own {
  /** False if it waits no more: it has left, or waited too long. */
  readonly done: (refusal: LimitRefusal | null) => boolean;
  readonly left: (reason: unknown) => void;
}

/** Whether that kind counts calls that run: a place among them becomes free at any time. */
export function isPlace(kind: Bound["kind"]): boolean {
  return LIMIT_KINDS[kind].counts === "running";
}

export function traceKeyOf({ workspaceId, traceId }: Reservation): string {
  return JSON.stringify([workspaceId, traceId]);
}

/** Who takes turns: sandboxes, and each trace with places of its own, which the others have not. */
export function waitsAs({ reservation: { sandboxId, traceId }, bounds }: Own): string {
  const isByTrace = bounds.some(({ kind, scope }) => scope === "trace" && isPlace(kind));
  return JSON.stringify(isByTrace ? [sandboxId, traceId] : [sandboxId]);
}

export function noPlace(bound: Bound): LimitRefusal {
  return { bound, used: bound.max };
}

/** For a call whose process ended while it was being admitted. */
export function died(): Error {
  return new Error("Its process has died");
}
