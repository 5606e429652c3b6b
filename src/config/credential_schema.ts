import { z } from "zod";
import { LOOKS_SECRET } from "./settings_reader.ts";

/** The log hides the secrets of as many, and those that a reload has replaced. */
export const MAX_CREDENTIALS = 32;
const MAX_WEIGHT = 1_000;

/** Each schema's message is what stands after "as" in `Cannot read x as …`. */
const NAME = "a name of 1 to 64 letters, digits, dots, dashes and underscores that does not look like a key";
const WEIGHT = `a whole number from 1 to ${MAX_WEIGHT}`;
const TEXT = "a text";
const PATH = "the path of a file";

/** It stands in rows, logs and metrics. */
export const entryName = z.string(NAME).regex(/^[A-Za-z0-9][\w.-]{0,63}$/, NAME)
  .refine((name) => !LOOKS_SECRET.test(name), NAME);
export const weight = z.int(WEIGHT).min(1, WEIGHT).max(MAX_WEIGHT, WEIGHT).default(1);
export const secretText = z.string(TEXT).optional();
export const secretPath = z.string(PATH).min(1, PATH).optional();
