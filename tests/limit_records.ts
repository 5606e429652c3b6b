/** A store of limits in memory that can fail, be slow, and lose its answers. */
import {
  addedTo,
  type Admission,
  type Bound,
  type Held,
  type LimitKind,
  type LimitRecords,
  periodOf,
  type Reservation,
  type SignOfLife,
} from "../src/domain/limits.ts";
import { Admissions } from "../src/limits/admissions.ts";
import { T0 } from "./conformance/samples.ts";
import { type Gate, gate } from "./wait.ts";

/** What the store does with a question. */
export type Mood = "well" | "away" | "loses answers";

export type AdmissionRecords = Pick<LimitRecords, "reserve" | "hold" | "settle" | "release" | "renewHolders">;

/** Its reservations never expire. */
export class FakeLimitRecords implements AdmissionRecords {
  readonly held = new Map<string, Held>();
  /** Of each question its verb, in order. */
  readonly asked: string[] = [];
  readonly signs: SignOfLife[] = [];
  mood: Mood = "well";
  #gate: Gate | null = null;

  /** Until the gate opens, questions are not answered. */
  holdBack(): Gate {
    return this.#gate = gate();
  }

  used(bound: Bound): number {
    const counted = [...this.held.values()].filter((held) =>
      held.workspaceId === "w-1" && (bound.scope !== "sandbox" || held.sandboxId === bound.id) &&
      (bound.scope !== "trace" || held.traceId === bound.id) && (bound.from !== null || held.isRunning)
    );
    return counted.reduce((sum, held) => sum + addedTo(bound, held), 0);
  }

  readonly reserve = (reservation: Reservation, bounds: readonly Bound[]): Promise<Admission> =>
    this.#answer("reserve", () => {
      const used = bounds.map((bound) => this.used(bound));
      const isAdmitted = bounds.every((bound, n) => used[n]! + addedTo(bound, reservation) <= bound.max);
      if (isAdmitted) this.held.set(reservation.id, { ...reservation, isRunning: true });
      return { isAdmitted, used };
    });

  readonly hold: LimitRecords["hold"] = (reservations) =>
    this.#answer("hold", () => reservations.forEach((held) => this.held.set(held.id, held)));

  readonly settle: LimitRecords["settle"] = (ended) =>
    this.#answer("settle", () => {
      for (const end of ended) {
        const held = this.held.get(end.id);
        if (held !== undefined) this.held.set(end.id, { ...held, ...end, isRunning: false });
      }
    });

  readonly release: LimitRecords["release"] = (ids) => this.#answer("release", () => ids.forEach((id) => this.held.delete(id)));

  readonly renewHolders: LimitRecords["renewHolders"] = (sign) => this.#answer("renewHolders", () => void this.signs.push(sign));

  async #answer<T>(verb: string, change: () => T): Promise<T> {
    this.asked.push(verb);
    const isAway = this.mood === "away";
    const losesAnswer = this.mood === "loses answers";
    await this.#gate?.passed;
    if (isAway) throw new Error("the store is away");
    const answer = change();
    if (losesAnswer) throw new Error("the answer was lost");
    return answer;
  }
}

const NEVER_MS = 3_600_000;

/** Admissions that ask the store only if a call does. */
export function admissionsOn(records: AdmissionRecords): Admissions {
  return new Admissions({
    ...{
      records,
      queueMs: NEVER_MS,
      earlierMs: 0,
      pauseMs: 0,
      now: () => T0,
      onAlone: () => {},
      onUsed: () => {},
      onPaused: () => {},
    },
    pace: { againMs: NEVER_MS, probeMs: 1, renewMs: NEVER_MS },
  });
}

export function limitVerbs({ reserve, settle, release }: Admissions) {
  return { reserve, settle, release };
}

let lastReservation = 0;

export function reservationOf(given: Partial<Reservation> = {}): Reservation {
  return {
    id: `ar-held-${++lastReservation}`,
    ...{ workspaceId: "w-1", sandboxId: "sb-1", traceId: "at-1", holder: "run-1", createdAt: T0, tokens: 10, cost: 100 },
    ...given,
  };
}

export function boundOf(kind: LimitKind, max: number, given: Partial<Pick<Bound, "scope" | "id">> = {}): Bound {
  return { kind, max, scope: "workspace", id: "w-1", ...given, ...periodOf(kind, T0) };
}
