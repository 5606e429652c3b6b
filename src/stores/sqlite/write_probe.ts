import type { DatabaseSync, StatementSync } from "node:sqlite";

/** A write that needs new pages, as real ones do, and leaves nothing behind. */
export class Probe {
  readonly #pad: StatementSync;
  readonly #unpad: StatementSync;

  constructor(db: DatabaseSync) {
    this.#pad = db.prepare("INSERT INTO ledger_probe (padding) VALUES (zeroblob(65536))");
    this.#unpad = db.prepare("DELETE FROM ledger_probe");
  }

  /** Throws SQLite's error where writing does not work. Belongs into a transaction of the caller's. */
  run(): void {
    this.#pad.run();
    this.#unpad.run();
  }
}
