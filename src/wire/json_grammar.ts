/**
 * What is open around a position. `Row.afterRoot + inside` is the row after a value there. From
 * `array` on the scanner adds 1 for an object, and 2 for one at the root.
 */
export enum In {
  root,
  array,
  object,
  rootObject,
}

/** Rows of `NEXT`: what may come next. From `string` on they are within a string. */
// deno-fmt-ignore
export enum Row {
  invalid, start, bom1, bom2, value, rootValue, firstElement, firstKey, key, colon, rootColon,
  afterRoot, afterElement, afterMember, afterRootMember,
  minus, zero, integer, point, fraction, e, sign, exponent,
  t1, t2, t3, f1, f2, f3, f4, n1, n2, n3,
  string, escape, hex1, hex2, hex3, hex4,
  count,
}

/** Entries of `NEXT` that do more. `endNumber` and `startRootValue` read the byte again. */
// deno-fmt-ignore
export enum Act {
  invalid = 0x8000, openKey, openString, inString, endNumber, openObject, openArray, close, endLiteral,
  rootComma, startRootValue, endCheckedKey,
}

/** A document that is one number may end at these rows. */
export const WHOLE_NUMBERS: readonly number[] = [Row.zero, Row.integer, Row.fraction, Row.exponent];

const WHITESPACE = " \t\n\r";
const DIGITS = "0123456789";
const HEX_DIGITS = "0123456789abcdefABCDEF";
const STARTS: readonly number[] = [Row.start, Row.value, Row.firstElement];

/** The grammar of RFC 8259: [rows, characters, what follows]. All other bytes are invalid there. */
// deno-fmt-ignore
const GRAMMAR: readonly (readonly [rows: readonly number[], characters: string, to: number])[] = [
  [[Row.start], "\xef", Row.bom1], [[Row.bom1], "\xbb", Row.bom2], [[Row.bom2], "\xbf", Row.value],

  [[Row.start, Row.value], WHITESPACE, Row.value], [[Row.firstElement], WHITESPACE, Row.firstElement],
  [STARTS, '"', Act.openString], [STARTS, "{", Act.openObject], [STARTS, "[", Act.openArray],
  [[Row.firstElement], "]", Act.close],
  [[Row.rootValue], WHITESPACE, Row.rootValue], [[Row.rootValue], '"{[-0123456789tfn', Act.startRootValue],

  [[Row.firstKey], WHITESPACE, Row.firstKey], [[Row.firstKey, Row.key], '"', Act.openKey], [[Row.firstKey], "}", Act.close],
  [[Row.key], WHITESPACE, Row.key],
  [[Row.colon], WHITESPACE, Row.colon], [[Row.colon], ":", Row.value],
  [[Row.rootColon], WHITESPACE, Row.rootColon], [[Row.rootColon], ":", Row.rootValue],

  [[Row.afterRoot], WHITESPACE, Row.afterRoot],
  [[Row.afterElement], WHITESPACE, Row.afterElement],
  [[Row.afterElement], ",", Row.value], [[Row.afterElement], "]", Act.close],
  [[Row.afterMember], WHITESPACE, Row.afterMember],
  [[Row.afterMember], ",", Row.key], [[Row.afterMember], "}", Act.close],
  [[Row.afterRootMember], WHITESPACE, Row.afterRootMember],
  [[Row.afterRootMember], ",", Act.rootComma], [[Row.afterRootMember], "}", Act.close],

  [STARTS, "-", Row.minus], [[...STARTS, Row.minus], "0", Row.zero], [[...STARTS, Row.minus], "123456789", Row.integer],
  [[Row.integer], DIGITS, Row.integer], [[Row.zero, Row.integer], ".", Row.point],
  [[Row.point, Row.fraction], DIGITS, Row.fraction], [[Row.zero, Row.integer, Row.fraction], "eE", Row.e],
  [[Row.e], "+-", Row.sign], [[Row.e, Row.sign, Row.exponent], DIGITS, Row.exponent],
  [WHOLE_NUMBERS, WHITESPACE + ",]}", Act.endNumber],

  [STARTS, "t", Row.t1], [[Row.t1], "r", Row.t2], [[Row.t2], "u", Row.t3], [[Row.t3], "e", Act.endLiteral],
  [STARTS, "f", Row.f1], [[Row.f1], "a", Row.f2], [[Row.f2], "l", Row.f3], [[Row.f3], "s", Row.f4], [[Row.f4], "e", Act.endLiteral],
  [STARTS, "n", Row.n1], [[Row.n1], "u", Row.n2], [[Row.n2], "l", Row.n3], [[Row.n3], "l", Act.endLiteral],

  [[Row.escape], '"\\/bfnrt', Row.string], [[Row.escape], "u", Row.hex4],
  [[Row.hex4], HEX_DIGITS, Row.hex3], [[Row.hex3], HEX_DIGITS, Row.hex2],
  [[Row.hex2], HEX_DIGITS, Row.hex1], [[Row.hex1], HEX_DIGITS, Row.string],
];

/** By row times 256 and byte: the next row times 256, or an act. */
export const NEXT: Uint16Array = new Uint16Array(Row.count << 8).fill(Act.invalid);
NEXT.fill(Act.inString, Row.string << 8, Row.string + 1 << 8);
for (const [rows, characters, to] of GRAMMAR) {
  for (const row of rows) {
    for (const character of characters) NEXT[row << 8 | character.charCodeAt(0)] = to < Act.invalid ? to << 8 : to;
  }
}
