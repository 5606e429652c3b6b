/**
 * Makes a file of rows, part by part. It holds at most one group of rows, and some bytes per few
 * thousand.
 */
export interface RowEncoder<R> {
  /** The bytes that these rows complete: none while rows are being gathered. */
  readonly add: (rows: readonly R[]) => Uint8Array<ArrayBuffer>;
  /** The bytes that end the file. */
  readonly end: () => Uint8Array<ArrayBuffer>;
}
