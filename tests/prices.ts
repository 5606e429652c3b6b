/** The prices with which tests of every room calculate; rooms themselves do not import them. */
export { priceOf } from "../src/pricing/price_of.ts";
export { PRICES } from "../src/pricing/prices.ts";
