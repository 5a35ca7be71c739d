// Follows a URL with npm's EventSource, and prints what it sees, a line of JSON each: node watch_in_node.mjs URL TYPE…
//
// Ends by itself when the EventSource gives up. {what: "reply", status} is each reply's status.
import { EventSource } from "eventsource";
import "./watch.js";

const [url, ...types] = process.argv.slice(2);
const tell = (seen) => console.log(JSON.stringify(seen));

const fetchAndTell = async (...request) => {
  const reply = await fetch(...request);
  tell({ what: "reply", status: reply.status });
  return reply;
};

watch(new EventSource(url, { fetch: fetchAndTell }), types, tell);
