/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { answerRequest, type Request } from "../../async/worker_rpc.ts";
import { carriedError } from "../../domain/unavailable.ts";
import { connectPostgres } from "../postgres/store.ts";
import { openSpool } from "../sqlite/spool.ts";
import type { ShippingMethods, ShippingNews, StartMessage } from "./protocol.ts";
import { SharedDatabase } from "./shared_database.ts";
import { PACE, type Report, Shipper } from "./shipper.ts";

/** One shipment at a time. One that a frozen server does not answer is sent again. */
const CONNECTING = { max: 2, patientSeconds: 10 };

self.onmessage = ({ data }: MessageEvent<StartMessage>) => {
  const methods = start(data);
  self.onmessage = ({ data: request }: MessageEvent<Request>) =>
    void answerRequest(methods, request, { reply: (reply) => self.postMessage(reply), carriedError });
};

function start({ path, synchronous, databaseUrl, seed }: StartMessage): ShippingMethods {
  const spool = openSpool(path, { synchronous });
  const database = new SharedDatabase((url) => connectPostgres(url, CONNECTING), databaseUrl);
  const state = { failure: null as string | null, shipped: 0, errors: 0 };
  let quarantined: ShippingNews["quarantined"] = [];
  const shipper = new Shipper({ spool, sink: () => database.ready(), pace: PACE, random: jitterFrom(seed), onReport: note });
  const running = shipper.run();

  function note(report: Report): void {
    state.shipped += report.shipped;
    state.failure = report.failure;
    if (report.failure !== null) state.errors++;
    const refused = report.quarantined.map(({ row: { call }, reason }) => ({
      id: call.id,
      workspaceId: call.workspaceId,
      reason,
    }));
    quarantined = [...quarantined, ...refused];
  }

  function news(): ShippingNews {
    const fresh = { state: { ...state, ...spool.backlog() }, quarantined };
    quarantined = [];
    return fresh;
  }

  return {
    news,
    rotate(url) {
      database.rotate(url);
      shipper.hurry();
    },
    async finish() {
      shipper.stop();
      await running;
      while (await shipper.round()) continue;
      const last = news();
      spool.close();
      await database.close();
      return last;
    },
  };
}

/** Repeatable numbers from 0 up to 1, random enough to spread the retries of replicas. */
function jitterFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 >>> 0;
    return state / 4_294_967_296;
  };
}
