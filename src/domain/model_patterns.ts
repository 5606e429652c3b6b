const ARN = "arn:";

/**
 * Whether one of the patterns names the model. `*` stands for any text. An ARN may belong to any
 * account and have any price, so only a pattern that begins like one names it.
 */
export function namesModel(patterns: readonly string[], model: string): boolean {
  return patterns.some((pattern) => (!model.startsWith(ARN) || pattern.startsWith(ARN)) && fits(pattern, model));
}

/** Piece by piece: a regular expression of many `*` would take too long for a model made for it. */
function fits(pattern: string, text: string): boolean {
  const [head, ...pieces] = pattern.split("*") as [string, ...string[]];
  const tail = pieces.pop();
  if (tail === undefined) return text === head;
  if (!text.startsWith(head)) return false;
  let at = head.length;
  for (const piece of pieces) {
    const found = text.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return text.length - tail.length >= at && text.endsWith(tail);
}
