import type { Billings } from "../domain/price.ts";
import type { Provider } from "../domain/provider.ts";
import * as providers from "./providers.ts";

/**
 * How each seller bills, by the name that the semantic conventions for generative AI have for it
 * (`gen_ai.provider.name`). It stands in rows as their `provider`.
 */
export const BILLINGS: Billings = new Map(
  Object.values<Provider>(providers).map(({ seller, billing }) => [seller, billing]),
);
