import type { Owned } from "./owned.ts";
import { type FieldsFrom, unknownFields } from "./usage_columns.ts";

/**
 * What is known of one answer's cost so far. Providers fold answers into it and never change it in
 * place.
 */
export interface UsageReading extends FieldsFrom<"reading"> {
  /** A first content delta has come (or a whole message). */
  readonly hasContent: boolean;
  /** Characters of text, thinking and tool input that passed: the ground of an estimate. */
  readonly contentCharacters: number;
  /** Input and cache counts have been named by the upstream. */
  readonly hasInput: boolean;
  /** The output count is the upstream's last word. */
  readonly hasFinalOutput: boolean;
  /** The answer is whole: `message_stop`, or a JSON body to its end. */
  readonly isWhole: boolean;
  /** If the upstream names no input, the request's bytes tell about how much it was. */
  readonly isInputEstimable: boolean;
  /** What the upstream made and keeps: it is the caller's. Not part of a row. */
  readonly made: readonly Made[];
  /** The upstream goes on working after its answer: what it uses is known only later. */
  readonly isPending: boolean;
  /** The upstream named a count above `MAX_COUNT`: none of its counts can be believed. */
  readonly hasAbsurdCount: boolean;
  /** An error says that the account behind the credential has no credit. */
  readonly isOutOfCredit: boolean;
}

export type Made = Pick<Owned, "id" | "kind">;

/**
 * The most tokens, or uses of a tool, that one count may name. Real ones stay a hundred times below
 * it, and it takes billions of rows at this bound to reach 2^63, where sums in a database overflow.
 */
export const MAX_COUNT = 1_000_000_000;

export const EMPTY_READING: UsageReading = {
  ...unknownFields("reading"),
  hasContent: false,
  contentCharacters: 0,
  hasInput: false,
  hasFinalOutput: false,
  isWhole: false,
  isInputEstimable: false,
  made: [],
  isPending: false,
  hasAbsurdCount: false,
  isOutOfCredit: false,
};
