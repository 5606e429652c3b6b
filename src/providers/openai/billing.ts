import type { Billing } from "../../domain/price.ts";
import { PLAIN } from "../plain_call.ts";

/** At the hosts that keep data in one region. A row names the region then. */
const REGIONAL_PERCENT = 110;

/** The input on the wire includes what the cache was read and written for; a row has them apart. */
export const OPENAI_API = {
  ...PLAIN,
  seller: { name: "OpenAI", service: "OpenAI API" },
  billsInterrupted: true,
  // A snapshot, `gpt-5.5-2026-04-23`, costs what its model does.
  namesOf: (served) => [served.replace(/-20\d\d-\d\d-\d\d$/, "")],
  serviceTiers: new Map([
    ["default", "standard"],
    ["standard", "standard"],
    ["auto", "standard"],
    // One product, whose name in the answer differs by model.
    ["fast", "priority"],
    ["priority", "priority"],
    ["flex", "flex"],
    ["batch", "batch"],
    ["ultrafast", "ultrafast"],
  ]),
  asksTierBySpeed: true,
  factors: {
    geoPercent: { global: 100, us: REGIONAL_PERCENT, eu: REGIONAL_PERCENT },
    otherGeoPercent: null,
    mostGeoPercent: REGIONAL_PERCENT,
  },
} as const satisfies Billing;
