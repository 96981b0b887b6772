// Reads {folder, secret, body, signature} from its only argument, and prints what
// Webhook.constructEvent of the unmodified @authsignal/node in that folder makes
// of it: {"event": ...} or {"error": "..."}.
import { createRequire } from "node:module";
import { join } from "node:path";

const { folder, secret, body, signature } = JSON.parse(process.argv[2]);
const { Authsignal } = createRequire(join(folder, "package.json"))("@authsignal/node");
const { webhook } = new Authsignal({ apiSecretKey: secret, apiUrl: "http://127.0.0.1/v1" });
try {
  console.log(JSON.stringify({ event: webhook.constructEvent(body, signature) }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
}
