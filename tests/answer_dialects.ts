import type { AnswerDialect } from "../src/domain/provider.ts";
import { messages } from "../src/providers/anthropic/messages.ts";
import { chatCompletions } from "../src/providers/openai/chat.ts";
import { responses } from "../src/providers/openai/responses.ts";

/** How the recorded answers of each folder of `tests/fixtures` are read. */
export const ANSWER_DIALECTS: Readonly<Record<string, AnswerDialect>> = {
  anthropic: messages.answer,
  openai_responses: responses.answer,
  openai_chat: chatCompletions.answer,
};

/** Throws if no dialect reads that folder's answers. */
export function answerDialectOf(folder: string): AnswerDialect {
  const dialect = ANSWER_DIALECTS[folder];
  if (dialect === undefined) {
    throw new Error(`Cannot read the answers of tests/fixtures/${folder}: name its dialect in the table`);
  }
  return dialect;
}
