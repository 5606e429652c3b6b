/** Ways to watch a body go by. src/wire/pump.ts reads like `byob`. */

type Bytes = ReadableStream<Uint8Array<ArrayBuffer>>;

const BUFFER_BYTES = 64 * 1024;

export const TAPS = {
  untouched: (source: Bytes): Bytes => source,

  transform: (source: Bytes): Bytes =>
    source.pipeThrough(new TransformStream({ transform: (chunk, controller) => controller.enqueue(chunk) })),

  pull(source: Bytes): Bytes {
    const reader = source.getReader();
    return new ReadableStream({
      async pull(controller) {
        const { value, done } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    });
  },

  bytes(source: Bytes): Bytes {
    const reader = source.getReader();
    return new ReadableStream({
      type: "bytes",
      async pull(controller) {
        const { value, done } = await reader.read();
        if (!done) return controller.enqueue(value);
        controller.close();
        controller.byobRequest?.respond(0);
      },
      cancel: (reason) => reader.cancel(reason),
    });
  },

  byob(source: Bytes): Bytes {
    const reader = source.getReader({ mode: "byob" });
    let buffer = new ArrayBuffer(BUFFER_BYTES);
    return new ReadableStream({
      type: "bytes",
      async pull(controller) {
        const { value, done } = await reader.read(new Uint8Array(buffer));
        if (!done && value !== undefined) {
          controller.enqueue(value.slice());
          buffer = value.buffer;
          return;
        }
        controller.close();
        controller.byobRequest?.respond(0);
      },
      cancel: (reason) => reader.cancel(reason),
    });
  },
} as const satisfies Record<string, (source: Bytes) => Bytes>;

export type TapName = keyof typeof TAPS;
