/** What befalls the database and the replicas, by a plan that a seed makes. */
import type { PostgresServer } from "../postgres_server.ts";
import type { Replica } from "./replicas.ts";

export interface Planned {
  /** From the start of the run. */
  readonly atMs: number;
  readonly lastsMs: number;
  readonly fault: DatabaseFault | ReplicaFault;
  /** Which replica; null: the database. */
  readonly replica: number | null;
}

type DatabaseFault = keyof typeof DATABASE_FAULTS;
type ReplicaFault = keyof typeof REPLICA_FAULTS;

interface Befalling<T> {
  readonly begin: (one: T) => Promise<unknown>;
  readonly end: (one: T) => Promise<unknown>;
}

/** A new fault is one row. */
const DATABASE_FAULTS = {
  "stop": { begin: (postgres) => postgres.stop(), end: (postgres) => postgres.start() },
  "kill": { begin: (postgres) => postgres.kill(), end: (postgres) => postgres.start() },
  "freeze": { begin: (postgres) => postgres.freeze(), end: (postgres) => postgres.thaw() },
  "cut connections": { begin: (postgres) => postgres.cutConnections(), end: () => Promise.resolve() },
  "restart": {
    begin: async (postgres) => {
      await postgres.stop();
      await postgres.start();
    },
    end: () => Promise.resolve(),
  },
} as const satisfies Record<string, Befalling<PostgresServer>>;

const REPLICA_FAULTS = {
  "kill -9": { begin: (replica) => replica.kill(), end: (replica) => replica.start() },
  "SIGTERM": { begin: (replica) => replica.stop(), end: (replica) => replica.start() },
  "reship": { begin: (replica) => replica.reship(), end: () => Promise.resolve() },
} as const satisfies Record<string, Befalling<Replica>>;

/** What is named twice occurs twice as often. */
const REPLICA_BAG: readonly ReplicaFault[] = ["kill -9", "kill -9", "SIGTERM", "reship"];

export interface PlanOptions {
  readonly durationMs: number;
  readonly replicas: number;
  readonly random: () => number;
  /**
   * Between the end of one fault and the beginning of the next, on average; a fault lasts as long.
   */
  readonly paceMs: number;
}

/**
 * Two plans beside each other: the database's, in which every fault occurs before one occurs again,
 * and the replicas'.
 */
export function planOf(options: PlanOptions): readonly Planned[] {
  const database = spread(Object.keys(DATABASE_FAULTS) as DatabaseFault[], options).map((one) => ({ ...one, replica: null }));
  const replicas = spread(REPLICA_BAG, options).map((one, n) => ({ ...one, replica: n % options.replicas }));
  return [...database, ...replicas].sort((a, b) => a.atMs - b.atMs);
}

function spread<F>(
  kinds: readonly F[],
  { durationMs, random, paceMs }: PlanOptions,
): readonly { readonly atMs: number; readonly lastsMs: number; readonly fault: F }[] {
  const planned = [];
  let bag: F[] = [];
  const around = () => Math.round(paceMs * (0.5 + random()));
  for (let atMs = around();;) {
    const lastsMs = around();
    if (atMs + lastsMs > durationMs) return planned;
    if (bag.length === 0) bag = [...kinds];
    const [fault] = bag.splice(Math.floor(random() * bag.length), 1);
    planned.push({ atMs, lastsMs, fault: fault! });
    atMs += lastsMs + around();
  }
}

export function wordsOf({ atMs, lastsMs, fault, replica }: Planned): string {
  const at = `${(atMs / 1000).toFixed(1).padStart(6)} s  for ${(lastsMs / 1000).toFixed(1).padStart(4)} s`;
  return `${at}  ${(replica === null ? "PostgreSQL" : `replica ${replica + 1}`).padEnd(10)}  ${fault}`;
}

/**
 * Carries the plan out; in the end everything is well again. Resolves to how many faults there
 * were.
 */
export async function befall(
  plan: readonly Planned[],
  { postgres, replicas }: { readonly postgres: PostgresServer; readonly replicas: readonly Replica[] },
): Promise<number> {
  const startedAt = performance.now();
  const until = (ms: number) => new Promise((resolve) => setTimeout(resolve, Math.max(startedAt + ms - performance.now(), 0)));
  async function track(planned: readonly Planned[]): Promise<number> {
    for (const { atMs, lastsMs, fault, replica: index } of planned) {
      await until(atMs);
      const { begin, end } = index === null
        ? on(postgres, DATABASE_FAULTS[fault as DatabaseFault])
        : on(replicas[index]!, REPLICA_FAULTS[fault as ReplicaFault]);
      await begin();
      await until(atMs + lastsMs);
      await end();
    }
    return planned.length;
  }
  const counts = await Promise.all([
    track(plan.filter(({ replica }) => replica === null)),
    track(plan.filter(({ replica }) => replica !== null)),
  ]);
  return counts.reduce((sum, count) => sum + count, 0);
}

function on<T>(
  one: T,
  { begin, end }: Befalling<T>,
): { readonly begin: () => Promise<unknown>; readonly end: () => Promise<unknown> } {
  return { begin: () => begin(one), end: () => end(one) };
}
