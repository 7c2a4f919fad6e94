/** Server-sent events (WHATWG HTML, section 9.2) in the response to a POST, which EventSource cannot send. */

export interface SentEvent {
  name: string;
  data: string;
}

export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<SentEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  // The parts of the unfinished line: one event may be many megabytes long.
  let parts: string[] = [];
  let event: SentEvent = { name: "message", data: "" };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = decoder.decode(value, { stream: true }).split("\n");
    parts.push(lines[0] ?? "");
    for (const next of lines.slice(1)) {
      const line = parts.join("").replace(/\r$/, "");
      parts = [next];
      if (line === "") {
        if (event.data) yield event;
        event = { name: "message", data: "" };
      } else if (line.startsWith("event:")) {
        event.name = line.slice(6).trim();
      } else if (line.startsWith("data:")) {
        event.data += line.slice(5).trimStart();
      }
    }
  }
}
