import type { OwnedRecords } from "../../domain/owned.ts";
import type { SessionRecords } from "../../domain/sessions.ts";
import type { Store } from "../../domain/store.ts";
import type { Tokens } from "../../domain/tokens.ts";
import type { Migrated } from "../migrations.ts";
import { type StoreVerbs, storeVerbs } from "../verbs.ts";
import type { Sink } from "./shipper.ts";

/** A connection to the shared database, of which nothing may be there yet. */
export interface Connected {
  readonly store: Store & Tokens & OwnedRecords & SessionRecords & Sink;
  /** Brings the schema up to this program. Rejects with `SchemaTooNew`, or the database's own error. */
  readonly migrate: () => Promise<Migrated>;
}

/**
 * The shared database, which may be away, also at the start, and whose URL can be rotated. It is migrated before it is first
 * used, whoever comes first.
 */
export class SharedDatabase {
  readonly #connect: (url: string) => Connected;
  #url: string;
  #connected: Connected | null = null;
  #migrating: Promise<void> | null = null;
  #isClosed = false;

  constructor(connect: (url: string) => Connected, url: string) {
    this.#connect = connect;
    this.#url = url;
  }

  /** The store, its schema up to date. Rejects while the database cannot be used; the next question tries again. */
  async ready(): Promise<Connected["store"]> {
    if (this.#isClosed) throw new Error("The shared database is closed");
    this.#connected ??= this.#connect(this.#url);
    const connected = this.#connected;
    this.#migrating ??= connected.migrate().then(() => {});
    const migrating = this.#migrating;
    try {
      await migrating;
    } catch (error) {
      if (this.#migrating === migrating) this.#migrating = null;
      throw error;
    }
    return connected.store;
  }

  /** From now on the database is asked under this URL; questions under way end under the old one. */
  rotate(url: string): void {
    if (url === this.#url) return;
    this.#url = url;
    void this.#drop();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#drop();
  }

  async #drop(): Promise<void> {
    const old = this.#connected;
    [this.#connected, this.#migrating] = [null, null];
    await old?.store.close().catch(() => {});
  }
}

/** A store that asks for its database at each question. */
export function storeOver(database: SharedDatabase): StoreVerbs & Pick<Store, "close"> {
  const verbs = storeVerbs(async (verb, args) => {
    const store = await database.ready();
    return await (store[verb] as (...args: readonly unknown[]) => unknown)(...args);
  });
  return { ...verbs, close: () => database.close() };
}
