// What every part of the hosted pages stands on: the page's own words, the way to
// the server, and one step at a time.

import { openLaunch } from "./launch.js";
import { signal, supported, words } from "./webauthn.js";

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
export const page = JSON.parse($("#page").textContent);
export const fill = (key, values = {}) => (page.texts[key] ?? "").replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);

let running = null; // AbortController of the one ceremony that may run
let failures = 0;

// A refusal of the server: what to show, or what to say.
class Refusal extends Error {
  constructor(reply) {
    super(reply.say ?? reply.note);
    this.reply = reply;
  }
}

export async function post(path, body = {}) {
  let response, reply;
  try {
    response = await fetch(`${page.base}/${path}${page.query}`, {
      method: "POST", credentials: "same-origin", keepalive: path === "report",
      headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    reply = await response.json();
  } catch {
    throw new Refusal({ say: "say.offline" });
  }
  if (!response.ok) throw new Refusal(reply);
  return reply;
}

export const launched = openLaunch(page, post);

// What the next page says is kept until then; without storage it is not said.
function remember(key) {
  try { sessionStorage.setItem("sallyport.said", key); } catch { /* it is turned off */ }
}
export function recall() {
  try {
    const key = sessionStorage.getItem("sallyport.said");
    sessionStorage.removeItem("sallyport.said");
    return key;
  } catch {
    return null;
  }
}

// Goes to another page and never comes back, so that what waits goes on waiting.
function load(path) {
  const address = page.base + (path === "." ? "" : "/" + path) + (path === "back" ? "" : page.query);
  if (path === "back" && launched) launched();
  else location.replace(address);
  return new Promise(() => {});
}

// Leaves to the application.
export const leave = () => (launched ? launched() : load("back"));

// Shows one section and moves the focus to its heading.
export function show(name, title) {
  for (const section of $$("main > section")) section.hidden = section.id !== name;
  const heading = $("h1", $("#" + name));
  if (title) heading.textContent = fill(title);
  document.title = fill("title", { heading: heading.textContent });
  heading.focus();
  if (name === "done" && (page.back || launched)) setTimeout(leave, 1200);
}

// Goes on as the server says.
export async function next(reply) {
  if (reply.codes) return showCodes(reply);
  if (reply.said) remember(reply.said);
  if (reply.go) return load(reply.go);
  if (reply.show === "note") {
    location.reload();
    return new Promise(() => {});
  }
  if (reply.title === "done.already") return here();
  if (!$("#" + reply.show)) return load(".");
  show(reply.show, reply.title);
}

// The passkey that was to be added is there already.
function here() {
  if ($("#done")) return show("done", "done.already");
  remember("said.here");
  return load(".");
}

// Dates are written as the reader's own region has them. A page in another language
// than the browser's keeps to the language.
export const locale = (navigator.languages ?? []).find((tag) => tag.split("-")[0] === page.lang) ?? page.lang;

const clock = (until) => {
  const at = new Date(until);
  const today = at.toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(locale, { numberingSystem: "latn", timeStyle: "short", ...(today ? {} : { dateStyle: "medium" }) }).format(at);
};

// Says in a section that it did not work out.
export function say(section, key, { challenge, until, field } = {}) {
  const problem = $(".problem", section);
  problem.textContent = fill(key, { time: until ? clock(until) : "" });
  if (key === "say.locked" && $("[data-panel=PASSKEY]", section) && supported()) problem.append(" ", fill("say.keyworks"));
  if (challenge) {
    const reference = document.createElement("small");
    reference.textContent = `${fill("say.reference")} ${challenge.slice(0, 4)}-${challenge.slice(4, 8)}`;
    problem.append(reference);
  }
  if ((key === "say.address" || key === "say.inapp") && page.site) problem.append(browserLink());
  problem.hidden = false;
  if (field) {
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", [problem.id, field.dataset.hint].filter(Boolean).join(" "));
    field.focus();
    field.select();
  } else {
    problem.focus();
  }
  problem.scrollIntoView({ block: "nearest" });
}

export function quiet(section) {
  $(".problem", section).hidden = true;
  for (const field of $$("[aria-invalid]", section)) {
    field.removeAttribute("aria-invalid");
    if (field.dataset.hint) field.setAttribute("aria-describedby", field.dataset.hint);
    else field.removeAttribute("aria-describedby");
  }
}

// A way out of the browser inside another app, as the two phone systems have it.
function browserLink() {
  const link = document.createElement("a");
  const agent = navigator.userAgent;
  link.textContent = $("#note [data-browser]").textContent;
  link.href = page.site;
  if (/Android/.test(agent)) link.href = page.site.replace(/^(https?):/, "intent:") + `#Intent;scheme=${page.site.split(":")[0]};end`;
  else if (/iPhone|iPad/.test(agent)) link.href = "x-safari-" + page.site;
  else link.target = "_blank";
  return link;
}

// Runs one step at a button: it waits, cannot be pressed twice, and says what went
// wrong. The trial tells a failure what was going on.
export async function attempt(button, waiting, work) {
  if (running) return;
  const mine = running = new AbortController();
  const section = button.closest("section");
  const label = $("span", button) ?? button;
  const trial = { before: label.textContent, field: button.form?.elements.code ?? button.form?.elements.email };
  quiet(section);
  button.setAttribute("aria-disabled", "true");
  button.dataset.busy = "";
  if (waiting) label.textContent = fill(waiting);
  try {
    await work(mine.signal, trial);
    label.textContent = trial.after ?? trial.before;
  } catch (error) {
    label.textContent = trial.before;
    await failed(section, label, error, trial);
  } finally {
    if (running === mine) running = null;
    button.removeAttribute("aria-disabled");
    delete button.dataset.busy;
    for (const status of $$(".status", section)) status.textContent = "";
  }
}

// Ends what runs, so that something else can begin.
export function stop() {
  running?.abort();
  running = null;
}

async function failed(section, label, error, trial) {
  const { challenge, answer } = trial;
  if (error instanceof Refusal) {
    const { reply } = error;
    if (reply.forget && answer) await signal("signalUnknownCredential", { rpId: reply.forget, credentialId: answer.id });
    if (reply.show) return next(reply);
    if (trial.again) label.textContent = fill(trial.again);
    failures++;
    section.classList.toggle("failed", Boolean(trial.again));
    openWays(section);
    return say(section, reply.say ?? "say.other", {
      until: reply.until, challenge: ["say.other", "say.rejected"].includes(reply.say) && challenge,
      field: !reply.until && reply.say !== "say.offline" && trial.field,
    });
  }
  if (challenge) post("report", { challenge, error: error.name }).catch(() => {});
  if (error.name === "AbortError") return;
  if (trial.creating && error.name === "InvalidStateError") return here(); // it is on this device already: good news
  failures++;
  const key = words(error, { ...trial, first: failures === 1, took: performance.now() - trial.asked });
  section.classList.toggle("failed", key !== "say.address");
  label.textContent = fill(key === "say.timeout" ? "passkey.more" : trial.again);
  openWays(section);
  say(section, key, { challenge: key === "say.other" && challenge });
}

function openWays(section) {
  const ways = $(".ways", section);
  if (ways) ways.open = true;
}

// The browser's part of a ceremony.
export async function device(trial, begun, ask, abort, section) {
  Object.assign(trial, { challenge: begun.challenge, again: "passkey.again", asked: performance.now(), timeout: begun.options.timeout });
  for (const status of $$(".status", section)) status.textContent = fill("passkey.follow");
  trial.answer = await ask(begun.options, abort);
  return { challenge: begun.challenge, response: trial.answer };
}

export function unsupported() {
  const note = $("#note");
  $("h1", note).textContent = fill("note.unsupported.title");
  $(".lead", note).textContent = fill("note.unsupported.text");
  if (page.site) {
    $("[data-browser]", note).replaceWith(Object.assign(browserLink(), { className: "primary" }));
    $("[data-back]", note).className = "secondary";
  }
  show("note");
}

// Recovery codes are shown once, and the page asks before it is left without them.
function showCodes(reply) {
  const section = $("#codes");
  const { codes } = reply;
  const text = `${fill("codes.head")}\n\n${codes.join("\n")}\n`;
  const stay = (event) => event.preventDefault();
  $("ol", section).replaceChildren(...codes.map((code) => Object.assign(document.createElement("li"), { textContent: code })));
  $("[download]", section).href = "data:text/plain;charset=utf-8," + encodeURIComponent(text);
  const copy = $("[data-copy]", section);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = fill("codes.copied");
    } catch {
      getSelection().selectAllChildren($("ol", section));
    }
  });
  $("[data-print]", section).addEventListener("click", () => print());
  $("[data-saved]", section).addEventListener("click", () => {
    removeEventListener("beforeunload", stay);
    next({ ...reply, codes: undefined });
  });
  addEventListener("beforeunload", stay);
  const good = reply.title === "done.ready" ? reply.title : null;
  show("codes");
  if (good) hail(section, good);
}

// Says something good at the top of a section.
export function hail(section, key) {
  const good = $(".good", section);
  if (!good || !page.texts[key]) return;
  good.textContent = fill(key);
  good.hidden = false;
}

