// Reads a streamed answer the way a page does: fetch and a ReadableStream.
// node stream_client.mjs URL TEXT [events] [abort-after]
// Prints a JSON line for each piece: seconds since 1970, and the text.
const [url, text, accept, abortAfter] = process.argv.slice(2);
const controller = new AbortController();
const answer = await fetch(url, {
  method: "POST",
  headers: {
    "Content-Type": "application/json",
    ...(accept === "events" ? { Accept: "text/event-stream" } : {}),
  },
  body: JSON.stringify({ text }),
  signal: controller.signal,
});
const decoder = new TextDecoder();
let pieces = 0;
try {
  for await (const piece of answer.body) {
    console.log(JSON.stringify([Date.now() / 1000, decoder.decode(piece, { stream: true })]));
    pieces += 1;
    if (abortAfter && pieces >= Number(abortAfter)) controller.abort();
  }
} catch (error) {
  if (error.name !== "AbortError") throw error;
  console.log(JSON.stringify([Date.now() / 1000, "aborted"]));
}
