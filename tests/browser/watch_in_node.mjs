// Follows a URL with npm's EventSource, and prints what it sees, a line of JSON each: node watch_in_node.mjs URL TYPE…
//
// {what: "reply", status} is the status of a reply. Does not end by itself.
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
setInterval(() => {}, 60_000); // version 5 lets the process end while it waits to connect again
