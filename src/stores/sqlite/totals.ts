import type { DatabaseSync, StatementSync } from "node:sqlite";
import { TOTALS } from "../../domain/totals.ts";
import { ROLLUP_KEY, sumsByRollup } from "../rollups.ts";
import { type Delta, HOUR_KEY, hourKeyOf, sumsByHour, sumsByTrace, TOTAL_NAMES, traceColumn } from "../totals.ts";
import { INSERT_TRACE } from "./traces.ts";

/** The totals of traces and hours, and the roll-ups. */
export class Totals {
  readonly #addToTrace: StatementSync;
  readonly #insertTrace: StatementSync;
  readonly #addToHour: StatementSync;
  readonly #addToRollup: StatementSync;

  constructor(db: DatabaseSync) {
    this.#addToTrace = db.prepare(ADD_TO_TRACE);
    this.#insertTrace = db.prepare(INSERT_TRACE);
    this.#addToHour = db.prepare(ADD_TO_HOUR);
    this.#addToRollup = db.prepare(ADD_TO_ROLLUP);
  }

  /** In the transaction that writes the rows. A missing trace is made. */
  apply(deltas: readonly Delta[]): void {
    for (const { place, latest, counts } of sumsByTrace(deltas)) {
      const { workspaceId, traceId, sandboxId, createdAt } = place;
      const isKnown = () => this.#addToTrace.run(...counts, latest, workspaceId, traceId).changes !== 0;
      if (isKnown()) continue;
      this.#insertTrace.run(workspaceId, traceId, sandboxId, "auto", createdAt, createdAt);
      isKnown();
    }
    const hours = sumsByHour(deltas);
    for (const { place, counts } of hours) this.#addToHour.run(...hourKeyOf(place), ...counts);
    for (const { key, counts } of sumsByRollup(hours)) this.#addToRollup.run(...key, ...counts);
  }
}

const ADD_TO_TRACE = `
  UPDATE traces SET
    ${TOTALS.map((total) => `${traceColumn(total)} = ${traceColumn(total)} + ?`).join(", ")},
    updated_at = max(updated_at, CAST(? AS INTEGER))
  WHERE workspace_id = ? AND id = ?`;

const ADD_TO_HOUR = addTo("usage_hours", HOUR_KEY);
const ADD_TO_ROLLUP = addTo("usage_rollups", ROLLUP_KEY);

/** To the row of a key, or a new one. */
function addTo(table: string, key: readonly string[]): string {
  return `
    INSERT INTO ${table} (${[...key, ...TOTAL_NAMES].join(", ")})
    VALUES (${[...key, ...TOTAL_NAMES].map(() => "?").join(", ")})
    ON CONFLICT (${key.join(", ")}) DO UPDATE SET
      ${TOTAL_NAMES.map((name) => `${name} = ${name} + excluded.${name}`).join(", ")}`;
}
