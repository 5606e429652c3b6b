/** Calls to another thread: one request and one reply, matched by a number. */

/** The methods of one side. Arguments and results are structured clones. */
// deno-lint-ignore no-explicit-any
export type Methods = { readonly [name: string]: (...args: any[]) => any };

/** Methods of a seam as their Worker runs them. */
export type Blocking<M> = {
  readonly [V in keyof M]: M[V] extends (...args: infer A) => infer R ? (...args: A) => Awaited<R> : never;
};

export interface Request {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: unknown };

/** What the caller needs of a Web Worker or a `node:worker_threads` one. */
export interface Port {
  readonly post: (request: Request) => void;
  readonly terminate: () => void;
}

export interface PortEvents {
  readonly onReply: (reply: Reply) => void;
  /** The worker has died and answers nothing more. */
  readonly onDeath: (reason: Error) => void;
}

export interface RpcOptions {
  /** Starts a worker, again after each death. If it throws, the request rejects. */
  readonly start: (events: PortEvents) => Port;
  /** Makes an error of what the worker sent as one. */
  readonly arrivedError: (carried: unknown) => Error;
}

/** The caller. If the worker dies, open requests reject, and the next one starts another. */
export class WorkerRpc<M extends Methods> {
  readonly #options: RpcOptions;
  readonly #open = new Map<number, PromiseWithResolvers<unknown>>();
  #port: Port | null = null;
  #lastId = 0;
  #closed: Error | null = null;

  constructor(options: RpcOptions) {
    this.#options = options;
  }

  /** Starts the worker now instead of with the first request. */
  start(): void {
    this.#port ??= this.#begin();
  }

  /** Rejects as the method does, or with the reason of the worker's death or of `close`. */
  call<N extends keyof M & string>(method: N, ...args: Parameters<M[N]>): Promise<Awaited<ReturnType<M[N]>>> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    const id = ++this.#lastId;
    const request = Promise.withResolvers<unknown>();
    try {
      this.start();
      this.#open.set(id, request);
      this.#port!.post({ id, method, args });
    } catch (error) {
      this.#open.delete(id);
      request.reject(error);
    }
    return request.promise as Promise<Awaited<ReturnType<M[N]>>>;
  }

  /**
   * Calls one last method, if a worker runs, and then closes. Earlier requests are answered first;
   * later ones reject with the reason. Rejects as the method does.
   */
  async finish(method: keyof M & string, reason: Error): Promise<void> {
    if (this.#closed !== null || this.#port === null) return this.close(reason);
    const last = (this as unknown as WorkerRpc<Methods>).call(method);
    this.#closed = reason;
    await last.finally(() => this.#drop(reason));
  }

  /** Terminates the worker. Open and further requests reject with the reason. */
  close(reason: Error): void {
    this.#closed ??= reason;
    this.#drop(reason);
  }

  #begin(): Port {
    const port = this.#options.start({
      onReply: (reply) => this.#take(reply),
      onDeath: (reason) => {
        // A worker that was replaced has nothing to say of the present one.
        if (this.#port === port) this.#drop(reason);
      },
    });
    return port;
  }

  #take(reply: Reply): void {
    const request = this.#open.get(reply.id);
    this.#open.delete(reply.id);
    if ("value" in reply) request?.resolve(reply.value);
    else request?.reject(this.#options.arrivedError(reply.error));
  }

  #drop(reason: Error): void {
    this.#port?.terminate();
    this.#port = null;
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const { reject } of open) reject(reason);
  }
}

export interface AnswerOptions {
  readonly reply: (reply: Reply) => void;
  /** What is sent of an error. */
  readonly carriedError: (error: unknown) => unknown;
}

/** The answering side: runs the method that the request names and replies once. Never rejects. */
export async function answerRequest(methods: Methods, request: Request, { reply, carriedError }: AnswerOptions): Promise<void> {
  const { id, method, args } = request;
  try {
    reply({ id, value: await methods[method]!(...args) });
  } catch (error) {
    reply({ id, error: carriedError(error) });
  }
}
