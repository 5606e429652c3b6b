/** How often a machine asks its store without being asked. */
export interface Pace {
  /** How often those that wait try again, because other replicas' calls end too. */
  readonly againMs: number;
  /** How often to ask a store that could not be asked. */
  readonly probeMs: number;
  /** How often holders of running calls give a sign of life. */
  readonly renewMs: number;
}

export const ADMISSIONS_PACE: Pace = { againMs: 200, probeMs: 1_000, renewMs: 15_000 };
