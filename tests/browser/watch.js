// Writes down what an EventSource does, whoever made it: runs in a page as well as in Node.js.
//
// `tell` gets {what: "frame", type, id, data}, {what: "open"} and {what: "error", closed}, in the order in which they
// happen. Events of tasks may be of a type that is called "error", as is what an EventSource fires when its connection
// fails: only frames have data.
globalThis.watch = (source, types, tell) => {
  const note = ({ type, lastEventId, data }) =>
    data === undefined
      ? tell({ what: type, closed: source.readyState === source.CLOSED })
      : tell({ what: "frame", type, id: lastEventId, data });
  for (const type of new Set([...types, "open", "error"])) {
    source.addEventListener(type, note);
  }
};
