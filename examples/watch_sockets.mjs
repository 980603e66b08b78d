// An app that closes its WebSockets when their user may not any more, by the sidecar's decision watch.
//
//   node examples/watch_sockets.mjs 8080 http://127.0.0.1:7181
//
// Each socket (`ws://127.0.0.1:8080/?user=…&organization=…`; a real app knows its user by its own login) is open while its
// user may do billing:invoice:read there. Node 20 or newer, no packages: the few lines of WebSocket at the end stand for
// the app's own library.
import { createHash } from "node:crypto";
import { createServer } from "node:http";

const [port = "8080", sidecar = "http://127.0.0.1:7181"] = process.argv.slice(2);

/** Calls `onAnswer` with each answer, first and changed, until `signal` says that nobody cares any more. */
async function watch(question, signal, onAnswer) {
  let lastEvent;
  while (!signal.aborted) {
    try {
      const response = await fetch(`${sidecar}/v1/watch`, {
        method: "POST",
        headers: { "content-type": "application/json", ...(lastEvent && { "last-event-id": lastEvent }) },
        body: JSON.stringify(question),
        signal,
      });
      if (!response.ok) throw new Error(`the sidecar says ${response.status}`);
      let text = "";
      for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
        text += part;
        const events = text.split("\n\n");
        text = events.pop();
        for (const event of events) {
          const fields = Object.fromEntries(event.split("\n").map((line) => line.split(/: (.*)/s)));
          lastEvent = fields.id ?? lastEvent;
          if (fields.event === "decision") onAnswer(JSON.parse(fields.data));
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      console.log(`watching again: ${error.message}`);
    }
    // While nobody can be asked nobody may: a socket that must not outlive its right is closed here instead.
    await new Promise((again) => setTimeout(again, 1000));
  }
}

function opened(socket, user, organization) {
  const gone = new AbortController();
  socket.on("close", () => gone.abort());
  const question = {
    subject: { type: "user", id: user },
    action: { name: "read" },
    resource: { type: "billing:invoice", id: "*" },
    context: { organization },
  };
  watch(question, gone.signal, ({ decision, context }) => {
    console.log(`${user} in ${organization}: ${decision ? "may" : "may not"} (revision ${context.revision})`);
    if (decision) sendText(socket, `welcome at revision ${context.revision}`);
    else closeWith(socket, 4403, "you may not read this any more");
  });
}

createServer()
  .on("upgrade", (request, socket) => {
    const query = new URL(request.url, "http://app").searchParams;
    const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    socket.on("error", () => {});
    opened(socket, query.get("user"), query.get("organization"));
  })
  .listen(Number(port), "127.0.0.1", () => console.log(`ws://127.0.0.1:${port}`));

// RFC 6455 §5.2: frames of a server are short here and never masked.
function sendText(socket, text) {
  const bytes = Buffer.from(text);
  socket.write(Buffer.concat([Buffer.from([0x81, bytes.length]), bytes]));
}

function closeWith(socket, code, reason) {
  const bytes = Buffer.from(reason);
  socket.end(Buffer.concat([Buffer.from([0x88, bytes.length + 2, code >> 8, code & 255]), bytes]));
}
