import assert from "node:assert/strict";
import { addedTo, type Bound, type Limit, type LimitRecords, periodOf, type Reservation } from "../src/domain/limits.ts";
import { REVISION, type UsageRow } from "../src/domain/usage.ts";
import { Admissions } from "../src/limits/admissions.ts";
import { LimitTable } from "../src/limits/limit_table.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "../src/stores/postgres/migrate.ts";
import { openPostgresStore, POSTGRES_DEFAULTS } from "../src/stores/postgres/store.ts";
import { migrateSqlite } from "../src/stores/sqlite/migrate.ts";
import { openSink } from "../src/stores/sqlite/sink.ts";
import { callOf, closingOf, seededRandom, T0, traceOf } from "./conformance/samples.ts";
import type { AdmissionRecords } from "./limit_records.ts";
import { startPostgres } from "./postgres_server.ts";
import { waitFor } from "./wait.ts";

/**
 * Histories of admissions, ends, crashes and outages on three replicas, against a model of what was
 * used. A failure names its seed; `SEED` runs that one alone.
 */
const SEED = Deno.env.get("SEED");
const STEPS = 120;
const REPLICAS = 3;
const AT_ONCE = 8;
/** All history is within one day. */
const MOST_JUMP_MS = 90_000;
const NEVER_MS = 3_600_000;
const QUEUE_MS = 5;

interface Database extends AsyncDisposable {
  readonly records: AdmissionRecords & Pick<LimitRecords, "usedOf">;
  readonly write: (rows: readonly UsageRow[]) => Promise<void>;
  readonly sql: (sql: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;
}

async function onSqlite(): Promise<Database> {
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const path = `${dir}/llmproxy.db`;
  migrateSqlite(path);
  const { sink, records: { reserve, hold, settle, release, renewHolders, usedOf }, db } = openSink(path, "normal");
  return {
    records: {
      reserve: (...args) => Promise.try(reserve, ...args),
      hold: (...args) => Promise.try(hold, ...args),
      settle: (...args) => Promise.try(settle, ...args),
      release: (...args) => Promise.try(release, ...args),
      renewHolders: (...args) => Promise.try(renewHolders, ...args),
      usedOf: (...args) => Promise.try(usedOf, ...args),
    },
    write: sink.recordUsage,
    sql: (sql) => Promise.resolve(db.prepare(sql).all() as Readonly<Record<string, unknown>>[]),
    async [Symbol.asyncDispose]() {
      db.close();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

async function onPostgres(): Promise<Database> {
  const server = await startPostgres();
  await migratePostgres({ ...MIGRATE_DEFAULTS, connectSeconds: POSTGRES_DEFAULTS.connectSeconds, url: server.url });
  const store = openPostgresStore({ ...POSTGRES_DEFAULTS, url: server.url });
  return {
    records: store,
    write: store.recordUsage,
    sql: (sql) => server.psql(sql),
    async [Symbol.asyncDispose]() {
      await store.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

for (const [name, open, seeds] of [["SQLite", onSqlite, 24], ["PostgreSQL", onPostgres, 2]] as const) {
  Deno.test(`limits on ${name}: no history exceeds a limit beyond what outages and crashes explain, and none leaks a reservation`, async () => {
    await using database = await open();
    const first = Math.floor(Math.random() * 1e9);
    const all = SEED === undefined ? Array.from({ length: seeds }, (_, n) => first + n) : [Number(SEED)];
    for (let n = 0; n < all.length; n += AT_ONCE) {
      await Promise.all(
        all.slice(n, n + AT_ONCE).map((seed) =>
          runHistory(seed, database).catch((cause) => {
            throw new Error(`The history of seed ${seed} fails: ${cause.message}`, { cause });
          })
        ),
      );
    }
  });
}

/** A call as the model knows it. */
interface Call {
  readonly reservation: Reservation;
  readonly bounds: readonly Bound[];
  /** What it used, once it has ended. */
  used: { readonly tokens: number; readonly cost: number } | null;
  isGone: boolean;
  hasLanded: boolean;
}

/** One run of a proxy, with its own link to the store. */
class Replica {
  readonly holder: string;
  readonly admissions: Admissions;
  readonly running = new Set<Call>();
  /** Rows that are not shipped, or may be shipped again. */
  readonly spool: { readonly call: Call; readonly row: UsageRow }[] = [];
  link: "well" | "away" | "loses answers" | "answers late" | "dead" = "well";
  /** Calls that the store may come to hold after they are over: a sign of life tells it. */
  readonly unsure = new Set<string>();
  #late: (() => Promise<unknown>)[] = [];

  readonly #random: () => number;

  constructor(holder: string, { records }: Database, { now, random }: { now: () => number; random: () => number }) {
    this.holder = holder;
    this.#random = random;
    this.admissions = new Admissions({
      records: {
        reserve: (reservation, bounds) => this.#send(() => records.reserve(reservation, bounds), [reservation]),
        hold: (reservations) => this.#send(() => records.hold(reservations), reservations),
        settle: (ended) => this.#send(() => records.settle(ended)),
        release: (given) => this.#send(() => records.release(given)),
        renewHolders: (sign) => this.#send(() => records.renewHolders(sign)),
      },
      ...{ now, queueMs: QUEUE_MS, earlierMs: 0, pauseMs: 0, onAlone: () => {}, onUsed: () => {}, onPaused: () => {} },
      pace: { againMs: 20, probeMs: 5, renewMs: 50 },
    });
  }

  /** What was sent before the link broke arrives now, after its sender has given up. */
  async deliver(): Promise<void> {
    for (const arrive of this.#late.splice(0)) await arrive();
  }

  async #send<T>(ask: () => Promise<T>, held: readonly Pick<Reservation, "id">[] = []): Promise<T> {
    const { link } = this;
    if (link === "answers late") {
      this.#late.push(() => ask().catch(() => {}));
      for (const { id } of held) this.unsure.add(id);
    }
    if (this.#random() < 0.3) await turn();
    const answer = link === "well" || link === "loses answers" ? await ask() : null;
    if (this.#random() < 0.3) await turn();
    if (link !== "well" || this.link === "dead") throw new Error("the store does not answer");
    return answer!;
  }
}

async function runHistory(seed: number, database: Database): Promise<void> {
  const random = seededRandom(seed);
  const below = (max: number) => Math.floor(random() * max);
  const some = <T>(items: readonly T[]): T => items[below(items.length)]!;
  const hasOutages = seed % 4 % 2 === 1;
  const hasCrashes = seed % 4 > 1;
  const workspaces = [`w-${seed}-1`, `w-${seed}-2`];
  const table = new LimitTable(workspaces.flatMap((workspaceId) => limitsOf(workspaceId, below)), {});
  let at = T0;
  let ids = 0;
  const now = () => at;
  const newReplica = (n: number) =>
    new Replica(`run-${seed}-${n}-${++ids}`, database, { now, random: seededRandom(seed + ++ids) });
  const replicas = Array.from({ length: REPLICAS }, (_, n) => newReplica(n));
  const calls: Call[] = [];
  /** By bound: what outages and crashes let pass. */
  const excused = new Map<string, number>();
  const asking = new Set<Promise<void>>();
  const dead: Replica[] = [];

  function excuse({ reservation, bounds }: Call): void {
    for (const bound of bounds) {
      const key = keyOf(reservation, bound);
      excused.set(key, (excused.get(key) ?? 0) + addedTo(bound, reservation));
    }
  }

  function used(workspaceId: string, bound: Bound): number {
    return calls.filter((call) => !call.isGone && isIn(call.reservation, { workspaceId, bound }))
      .filter((call) => bound.from !== null || call.used === null)
      .reduce((sum, { reservation, used }) => sum + addedTo(bound, used ?? reservation), 0);
  }

  function check(call: Call): void {
    const { reservation, bounds } = call;
    for (const bound of bounds) {
      const [sum, over] = [used(reservation.workspaceId, bound), excused.get(keyOf(reservation, bound)) ?? 0];
      if (sum > bound.max + over) {
        assert.fail(`${bound.kind} of the ${bound.scope} is ${sum}, its limit is ${bound.max}, and ${over} is explained`);
      }
    }
  }

  async function admit(replica: Replica, isPatient: boolean): Promise<void> {
    const workspaceId = some(workspaces);
    const [sandboxId, traceId] = [`sb-${below(2)}`, `at-${below(2)}`];
    const id = `ar-${seed}-${++ids}`;
    const reservation = {
      ...{ id, workspaceId, sandboxId, traceId, holder: replica.holder, createdAt: at },
      ...{ tokens: 1 + below(300), cost: 1 + below(300) },
    };
    const bounds = table.boundsOf(reservation);
    const signal = isPatient ? new AbortController().signal : AbortSignal.timeout(1 + below(10));
    const refusal = await replica.admissions.reserve(reservation, bounds, signal).catch(() => "left" as const);
    if (refusal !== null || replica.link === "dead") return;
    const call: Call = { reservation, bounds, used: null, isGone: false, hasLanded: false };
    calls.push(call);
    replica.running.add(call);
    if (replica.admissions.isAlone) excuse(call);
    check(call);
  }

  function end(replica: Replica, call: Call, isSettled = true): void {
    replica.running.delete(call);
    const { reservation } = call;
    const { id, tokens, cost } = reservation;
    call.used = isSettled ? { tokens: below(tokens + 1), cost: below(cost + 1) } : { tokens: 0, cost: 0 };
    replica.spool.push({ call, row: rowOf(call) });
    if (isSettled) replica.admissions.settle({ id, ...call.used });
  }

  function release(replica: Replica, call: Call): void {
    replica.running.delete(call);
    call.isGone = true;
    replica.admissions.release(call.reservation.id);
  }

  /** Some of the rows; those that were shipped may be shipped again. */
  async function ship({ spool, link }: Replica): Promise<void> {
    if (link !== "well" && link !== "loses answers") return;
    const rows = spool.filter(() => random() < 0.6);
    await database.write(rows.map(({ row }) => row));
    for (const { call } of rows) call.hasLanded = true;
    if (link !== "well") return;
    for (const shipped of rows) if (random() < 0.7) spool.splice(spool.indexOf(shipped), 1);
  }

  /** As by kill -9: the next run sweeps the open rows of its calls, and some had none. */
  async function crash(n: number): Promise<void> {
    const old = replicas[n]!;
    old.link = "dead";
    for (const { call } of old.spool) if (!call.hasLanded) excuse(call);
    const next = newReplica(n);
    next.spool.push(...old.spool);
    for (const call of [...old.running]) {
      excuse(call);
      if (random() < 0.2) call.isGone = true;
      else end(old, call, false);
    }
    next.spool.push(...old.spool.filter((entry) => !next.spool.includes(entry)));
    replicas[n] = next;
    dead.push(old);
    await old.admissions.end();
  }

  async function expire({ holder }: Replica): Promise<void> {
    await database.sql(`UPDATE reservation_holders SET expires_at = 0 WHERE id = '${holder}'`);
  }

  async function held() {
    const rows = await database.sql(`SELECT id, holder, is_running FROM reservations WHERE workspace_id LIKE 'w-${seed}-%'`);
    return rows.map((row) => ({ ...row }));
  }

  /** The store knows exactly what the model knows, unless something arrived late or has died. */
  async function settleDown(): Promise<void> {
    for (const replica of replicas) {
      replica.link = "well";
      await replica.deliver();
    }
    await Promise.all([...asking]);
    for (const { admissions } of replicas) await waitFor(() => !admissions.isAlone, { what: "the store to be asked again" });
    if (dead.length > 0 || replicas.some(({ unsure }) => unsure.size > 0)) return;
    for (const workspaceId of workspaces) {
      const bounds = boundsIn(workspaceId);
      let [found, expected]: (readonly number[])[] = [[], []];
      await waitFor(async () => {
        found = await database.records.usedOf(workspaceId, bounds);
        expected = bounds.map((bound) => used(workspaceId, bound));
        return found.join() === expected.join();
      }, { what: "the store to count what runs and what was used" })
        .catch((error) => assert.fail(`${error.message}: it counts ${found}, which is ${expected}`));
    }
  }

  const links = ["away", "loses answers", "answers late"] as const;
  for (let step = 0; step < STEPS; step++) {
    const replica = some(replicas);
    const dice = random();
    if (dice < 0.5) {
      for (let n = below(4); n >= 0; n--) {
        const admission: Promise<void> = admit(replica, random() < 0.8).finally(() => asking.delete(admission));
        admission.catch(() => {});
        asking.add(admission);
      }
    } else if (dice < 0.72) { for (const call of [...replica.running].slice(0, 1 + below(5))) end(replica, call); }
    else if (dice < 0.75) { for (const call of [...replica.running].slice(0, 1)) release(replica, call); }
    else if (dice < 0.85) await ship(replica);
    else if (dice < 0.88) at += below(MOST_JUMP_MS);
    else if (dice < 0.94) {
      if (hasOutages) replica.link = replica.link === "well" ? some(links) : "well";
      if (replica.link === "well") await replica.deliver();
    } else if (dice < 0.96) { if (hasCrashes) await crash(replicas.indexOf(replica)); }
    else if (dice < 0.98) { if (dead.length > 0) await expire(some(dead)); }
    else await settleDown();
    if (random() < 0.5) await turn();
  }

  await settleDown();
  for (const replica of replicas) for (const call of [...replica.running]) end(replica, call);
  for (const { admissions } of replicas) await admissions.end();
  for (const { spool } of replicas) await database.write(spool.map(({ row }) => row));
  const unsure = new Set([...replicas, ...dead].flatMap((replica) => [...replica.unsure]));
  const isExplained = ({ id, holder }: Readonly<Record<string, unknown>>) =>
    unsure.has(String(id)) || dead.some((replica) => replica.holder === holder);
  await waitFor(async () => (await held()).every(isExplained), { what: "calls that are over to hold nothing", deadlineMs: 5_000 })
    .catch(async (error) => assert.deepEqual((await held()).filter((row) => !isExplained(row)), [], error.message));
  for (const holder of dead) await expire(holder);
  const holders = [...replicas, ...dead].map(({ holder }) => holder);
  await database.records.renewHolders({ holders, running: [], before: at + NEVER_MS });
  assert.deepEqual(await held(), []);
  for (const workspaceId of workspaces) {
    const bounds = boundsIn(workspaceId);
    const expected = bounds.map((bound) => used(workspaceId, bound));
    assert.deepEqual(await database.records.usedOf(workspaceId, bounds), expected);
  }
}

/** Close together, so that most histories come near most limits. */
function limitsOf(workspaceId: string, below: (max: number) => number): readonly Limit[] {
  const common = { workspaceId, updatedAt: T0 };
  return [
    { ...common, scope: "workspace", id: "", kind: "rpd", max: 20 + below(100) },
    { ...common, scope: "workspace", id: "", kind: "tokens_per_day", max: 2_000 + below(10_000) },
    { ...common, scope: "workspace", id: "", kind: "cost_per_month", max: 2_000 + below(10_000) },
    { ...common, scope: "workspace", id: "", kind: "concurrent", max: 3 + below(10) },
    { ...common, scope: "sandbox", id: "sb-0", kind: "cost_per_day", max: 1_000 + below(5_000) },
    { ...common, scope: "sandbox", id: "sb-1", kind: "concurrent", max: 1 + below(4) },
    { ...common, scope: "trace", id: "at-0", kind: "rpd", max: 10 + below(40) },
    { ...common, scope: "trace", id: "at-1", kind: "tokens_per_day", max: 1_000 + below(5_000) },
  ];
}

function boundsIn(workspaceId: string): readonly Bound[] {
  const places = [["workspace", workspaceId], ["sandbox", "sb-0"], ["sandbox", "sb-1"], ["trace", "at-0"], [
    "trace",
    "at-1",
  ]] as const;
  return places.flatMap(([scope, id]) =>
    (["rpd", "tokens_per_day", "cost_per_day", "cost_per_month", "concurrent"] as const).map((kind) => (
      { kind, scope, id, max: 1, ...periodOf(kind, T0) }
    ))
  );
}

function isIn(
  reservation: Reservation,
  { workspaceId, bound }: { readonly workspaceId: string; readonly bound: Bound },
): boolean {
  const id = { workspace: reservation.workspaceId, sandbox: reservation.sandboxId, trace: reservation.traceId }[bound.scope];
  return reservation.workspaceId === workspaceId && id === bound.id;
}

function keyOf({ workspaceId }: Reservation, { scope, id, kind }: Bound): string {
  return JSON.stringify([workspaceId, scope, id, kind]);
}

function rowOf({ reservation: { id, workspaceId, sandboxId, traceId, createdAt }, used }: Call): UsageRow {
  const call = callOf({ id, workspaceId, sandboxId, traceId, createdAt });
  const { tokens, cost } = used!;
  return {
    call,
    closing: closingOf({ outputTokens: tokens }, { cost }),
    revision: REVISION.closed,
    trace: traceOf(call),
  } as UsageRow;
}

/** Lets timers and answers have their turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
