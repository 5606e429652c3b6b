import { NOTHING_REFUSED, type Shipment, type Spool } from "../src/domain/spool.ts";

/** Ships all that waits to nowhere. */
export function shipmentsOf(spool: Pick<Spool, "unshipped" | "shipped">, most: number): readonly Shipment[] {
  const shipments: Shipment[] = [];
  for (;;) {
    const shipment = spool.unshipped(most);
    const { rows, traces, refusals, owned } = shipment;
    if ([rows, traces, refusals, owned].every((list) => list.length === 0)) return shipments;
    spool.shipped(shipment, NOTHING_REFUSED);
    shipments.push(shipment);
  }
}
