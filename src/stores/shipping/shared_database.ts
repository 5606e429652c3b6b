import type { Store } from "../../domain/store.ts";
import type { Migrated } from "../migrations.ts";
import { type StoreVerbs, storeVerbs } from "../verbs.ts";
import type { Sink } from "./shipper.ts";

/** A connection to the shared database, which may be empty. */
export interface Connected {
  readonly store: Store & StoreVerbs & Sink;
  /** Migrates to this program's schema. Rejects with `SchemaTooNew` or the database's error. */
  readonly migrate: () => Promise<Migrated>;
}

/**
 * The shared database, which may be down even at the start, and whose URL can be rotated. The first
 * caller of `ready` migrates it.
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

  /** The migrated store. Rejects while the database cannot be used; the next call tries again. */
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

  /** From now on this URL is used. Running questions end under the old one. */
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

/** A store that gets its database at each question, because of `rotate`. */
export function storeOver(database: SharedDatabase): StoreVerbs & Pick<Store, "close"> {
  const verbs = storeVerbs(async (verb, args) => {
    const store = await database.ready();
    return await (store[verb] as (...args: readonly unknown[]) => unknown)(...args);
  });
  return { ...verbs, close: () => database.close() };
}
