import type { Seller, Tariff } from "../../domain/price.ts";
import type { UsageRecord } from "../../domain/usage_record.ts";
import { type FocusAccuracy, type Part, partsOf, type Thing } from "./parts.ts";

const HOUR_MS = 3_600_000;
/** More than so many in one hour are written as they are; some then come twice in the file. */
const MOST_CHARGES = 5_000;

/** What one sandbox used of one thing at one price in one hour: a row of FOCUS. */
export interface FocusCharge {
  /** Start of the hour; milliseconds since the epoch. */
  readonly hour: number;
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly credentialId: string | null;
  /** The operator's name of it; null in rows from before upstreams had names. */
  readonly upstream: string | null;
  readonly seller: Seller;
  /** Where the model ran, if the answers say so. */
  readonly place: string | null;
  readonly accuracy: FocusAccuracy;
  readonly thing: Thing;
  /** Of a single token or use; atto-dollars. */
  readonly unitPrice: bigint;
  readonly quantity: bigint;
  /** What the rows of the ledger cost. */
  readonly nanoDollars: bigint;
}

/** Of the seller with that name in rows; null if there is no such seller. */
export type TariffOf = (provider: string) => Tariff | null;

export interface FocusCharges {
  /** Takes rows in the order of their time. Returns the charges of the hours that are over. */
  readonly add: (rows: readonly UsageRecord[]) => readonly FocusCharge[];
  /** Those of the last hour. */
  readonly end: () => readonly FocusCharge[];
}

/** Sums rows up by the hour. It holds the charges of one hour, and not more than some thousand. */
export function focusCharges(tariffOf: TariffOf): FocusCharges {
  let charges = new Map<string, FocusCharge>();
  let hour = 0;

  function taken(): readonly FocusCharge[] {
    const all = [...charges.values()];
    charges = new Map();
    return all;
  }

  return {
    add(rows) {
      const over: FocusCharge[] = [];
      for (const row of rows) {
        const hourOfRow = Math.floor(row.createdAt / HOUR_MS) * HOUR_MS;
        if (hourOfRow !== hour || charges.size >= MOST_CHARGES) over.push(...taken());
        hour = hourOfRow;
        const tariff = tariffOf(row.provider);
        for (const part of partsOf(row, tariff)) addTo(charges, part, { row, hour, tariff });
      }
      return over;
    },
    end: taken,
  };
}

function addTo(
  charges: Map<string, FocusCharge>,
  part: Part,
  { row, hour, tariff }: { readonly row: UsageRecord; readonly hour: number; readonly tariff: Tariff | null },
): void {
  const { thing, accuracy, unitPrice } = part;
  const { workspaceId, sandboxId, provider, credentialId = null, upstream = null } = row;
  const { inferenceGeo: place = null } = row;
  const { kind, name, terms } = thing;
  const key = JSON.stringify([
    ...[workspaceId, sandboxId, provider, credentialId, upstream, place, accuracy, kind, name, String(unitPrice)],
    ...terms,
  ]);
  const { quantity, nanoDollars } = charges.get(key) ?? { quantity: 0n, nanoDollars: 0n };
  charges.set(key, {
    ...{ hour, workspaceId, sandboxId, credentialId, upstream, place, accuracy, thing, unitPrice },
    seller: tariff?.seller ?? { name: provider, service: provider },
    quantity: quantity + part.quantity,
    nanoDollars: nanoDollars + part.nanoDollars,
  });
}
