import type { Target } from "./load.ts";
import type { Place, Running } from "./processes.ts";

/** One way from the load generator to the upstream. */
export interface Contender extends Target {
  readonly name: string;
  /** Null for a direct connection. */
  readonly process: Running | null;
  /** How many billed calls it recorded; null if it records none. */
  readonly recordedCalls: (() => Promise<number>) | null;
  /** Its `/metrics`; null if it has none. */
  readonly metrics: (() => Promise<string>) | null;
  /** Its admin listener; null if it has none. */
  readonly admin: Admin | null;
  /** Starts it again on the same ports and data, after it was stopped. Null if that is no use. */
  readonly restart: (() => Running) | null;
}

export interface Admin {
  readonly port: number;
  readonly token: string;
}

/** What contenders are started with. */
export interface Site {
  readonly upstreamPort: number;
  /** An empty folder for logs, settings and data. */
  readonly dir: string;
  /** Where relays run. */
  readonly place: Place;
  /** Of `llmproxy-workers`, as LLMPROXY_WORKERS has it. */
  readonly workers: string;
  /** A compiled llmproxy. */
  readonly executable: string | null;
  /** Ended after the suite, besides its processes. */
  readonly after: (() => Promise<void>)[];
}

/** Says why a contender cannot take part on this machine. */
export class Missing extends Error {}
