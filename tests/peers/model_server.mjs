// The model server of tests and benches: npm's aimock on a free port. A line of JSON on stdout for each thing that
// its own journal does not tell: where it listens, when a request came, and when its connection or reply was over.
//
//     node model_server.mjs [API_KEY]
//
// Without a key it takes any. It ends with its stdin, so that none outlives whoever started it.

import diagnostics from "node:diagnostics_channel";
import { LLMock } from "@copilotkit/aimock";

const [key] = process.argv.slice(2);
const now = () => (performance.timeOrigin + performance.now()) / 1000; // seconds since the epoch, to the microsecond
const tell = (line) => process.stdout.write(`${JSON.stringify({ ...line, at: now() })}\n`);

diagnostics.subscribe("http.server.request.start", ({ request, response, server }) => {
    server.keepAliveTimeout = 60_000; // of 5 s, as Node.js has it, a client that asks again just then sees a reset
    if (request.url.startsWith("/__aimock")) return; // what tests ask themselves
    const came = now();
    response.on("close", () => {
        const name = request.headers["x-request-id"]; // given, or made by aimock: the one in its journal
        tell({ what: "closed", request: name, came, whole: response.writableFinished });
    });
});

process.stdin.resume().on("end", () => process.exit());
const auth = key ? { apiKeys: [key] } : undefined;
const server = new LLMock({ port: 0, auth, journalMaxEntries: 0 }); // 0: it keeps all
tell({ what: "listens", url: await server.start() });
