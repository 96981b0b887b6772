// The challenge page: asks for a passkey, tells the server the answer, and says
// in plain words what happened. All words come from the page itself.

const $ = (selector, within = document) => within.querySelector(selector);
const texts = JSON.parse($("#texts").textContent);
const { base, show: first } = document.body.dataset;
const hasBack = "back" in document.body.dataset;

let running = null; // AbortController of the one ceremony that may run
let failures = 0;

// Shows one section and moves the focus to its heading.
function show(name, { title, note } = {}) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== name;
  const section = $("#" + name);
  const heading = $("h1", section);
  if (name === "note") {
    heading.textContent = texts[`note.${note}.title`];
    $(".lead", section).textContent = texts[`note.${note}.text`];
  }
  if (name === "enrol" && title) {
    $(".good", section).textContent = texts[title];
    $(".good", section).hidden = false;
  } else if (title) {
    heading.textContent = texts[title];
  }
  document.body.dataset.show = name;
  heading.focus();
  if (name === "done" && hasBack) setTimeout(() => location.replace(base + "back"), 1200);
}

// Says in a section that it did not work out.
function say(section, key, challenge) {
  const problem = $(".problem", section);
  problem.textContent = texts[key];
  if (challenge) {
    const reference = document.createElement("small");
    reference.textContent = `${texts["say.reference"]} ${challenge.slice(0, 4)}-${challenge.slice(4, 8)}`;
    problem.append(reference);
  }
  problem.hidden = false;
  problem.focus();
}

const quiet = (section) => { $(".problem", section).hidden = true; };

// A refusal of the server: what to show, or what to say.
class Refusal extends Error {
  constructor(reply) {
    super(reply.say ?? reply.note);
    this.reply = reply;
  }
}

async function post(path, body = {}) {
  let response, reply;
  try {
    response = await fetch(base + path, {
      method: "POST", credentials: "same-origin",
      headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    reply = await response.json();
  } catch {
    throw new Refusal({ say: "say.offline" });
  }
  if (!response.ok) throw new Refusal(reply);
  return reply;
}

// WebAuthn's JSON forms are written and read by hand: older browsers have no
// parse…FromJSON, and some password managers break toJSON.
const decode = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const encode = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const descriptors = (list) => list.map((d) => (
  { id: decode(d.id), type: d.type, ...(d.transports.length ? { transports: d.transports } : {}) }));

const credential = (c, response) => ({
  id: c.id, rawId: encode(c.rawId), type: c.type, clientExtensionResults: c.getClientExtensionResults(),
  ...(c.authenticatorAttachment ? { authenticatorAttachment: c.authenticatorAttachment } : {}),
  response: { clientDataJSON: encode(c.response.clientDataJSON), ...response },
});

async function get(options, signal) {
  const c = await navigator.credentials.get({ signal, publicKey: {
    ...options, challenge: decode(options.challenge), allowCredentials: descriptors(options.allowCredentials),
  } });
  const { authenticatorData, signature, userHandle } = c.response;
  return credential(c, {
    authenticatorData: encode(authenticatorData), signature: encode(signature),
    ...(userHandle ? { userHandle: encode(userHandle) } : {}),
  });
}

async function create(options, signal) {
  const c = await navigator.credentials.create({ signal, publicKey: {
    ...options, challenge: decode(options.challenge), user: { ...options.user, id: decode(options.user.id) },
    excludeCredentials: descriptors(options.excludeCredentials),
  } });
  return credential(c, {
    attestationObject: encode(c.response.attestationObject), transports: c.response.getTransports?.() ?? [],
  });
}

// Which words fit an error of the browser. It never tells a cancelled dialog
// from a passkey that is not here; only the time hints at it.
function words(error, what, milliseconds) {
  switch (error.name) {
    case "NotAllowedError":
      if (what === "enrol") return "say.unsaved";
      return failures === 1 && milliseconds < 1000 ? "say.absent" : "say.cancelled";
    case "SecurityError": return "say.address";
    case "NotSupportedError":
    case "ConstraintError": return what === "enrol" ? "say.unsupported" : "say.other";
    default: return "say.other";
  }
}

async function run(what) {
  if (running) return;
  running = new AbortController();
  const { signal } = running;
  const section = $("#" + what);
  const button = $("button.primary", section);
  const enrol = what === "enrol";
  quiet(section);
  button.setAttribute("aria-disabled", "true");
  $("span", button).textContent = texts[enrol ? "enrol.waiting" : "ask.waiting"];
  $(".status", section).textContent = texts["ask.follow"];
  document.body.dataset.busy = "";
  let challenge, answer, asked = 0, asking = false;
  try {
    const begun = await post(enrol ? "enrol/begin" : "begin");
    challenge = begun.challenge;
    asked = performance.now();
    asking = true;
    answer = await (enrol ? create : get)(begun.options, signal);
    asking = false;
    const next = await post(enrol ? "enrol/finish" : "finish", { challenge, response: answer });
    show(next.show, next);
  } catch (error) {
    failures++;
    if (error instanceof Refusal) {
      const { reply } = error;
      if (reply.forget && answer) {
        await PublicKeyCredential.signalUnknownCredential?.({ rpId: reply.forget, credentialId: answer.id }).catch(() => {});
      }
      if (reply.show) show(reply.show, reply);
      else say(section, reply.say ?? "say.other", challenge);
    } else if (enrol && error.name === "InvalidStateError") {
      show("done", { title: "done.already" }); // it is on this device already: good news
    } else if (error.name !== "AbortError") {
      const key = words(error, what, asking ? performance.now() - asked : Infinity);
      say(section, key, key === "say.other" && challenge);
    }
    section.classList.add("failed");
    const help = $(".help", section);
    if (help) help.hidden = false;
    $("span", button).textContent = texts["ask.again"];
  } finally {
    running = null;
    button.removeAttribute("aria-disabled");
    $(".status", section).textContent = "";
    delete document.body.dataset.busy;
  }
}

async function deny(button) {
  if (running) return;
  running = new AbortController();
  button.setAttribute("aria-disabled", "true");
  try {
    const next = await post("deny");
    show(next.show, next);
  } catch (error) {
    const reply = error.reply ?? {};
    if (reply.show) show(reply.show, reply);
    else say($("#deny"), reply.say ?? "say.other");
  } finally {
    running = null;
    button.removeAttribute("aria-disabled");
  }
}

for (const button of document.querySelectorAll("[data-go]")) button.addEventListener("click", () => run(button.dataset.go));
for (const button of document.querySelectorAll("[data-open]")) {
  button.addEventListener("click", () => { running?.abort(); show(button.dataset.open); });
}
$("[data-deny]").addEventListener("click", (event) => deny(event.currentTarget));
addEventListener("pagehide", () => running?.abort());

if ((first === "ask" || first === "enrol") && !window.PublicKeyCredential) show("note", { note: "unsupported" });
if (first === "done" && "finished" in document.body.dataset && hasBack) show("done");
