// The hosted pages: ask for a proof, tell the server the answer, and say in plain
// words what happened. Each section of the page has its own opener.

import { openAccount } from "./account.js";
import { openApp, openEmail, openEnrol } from "./adding.js";
import { $, $$, hail, launched, page, recall, show, stop } from "./core.js";
import { openAsk, openDeny } from "./proof.js";

const openers = { ask: openAsk, enrol: openEnrol, app: openApp, email: openEmail, deny: openDeny };
for (const section of $$("main > section")) {
  if (section.id !== "ask" || page.show === "ask") openers[section.id]?.(section);
}
for (const button of $$("[data-open]")) {
  button.addEventListener("click", () => {
    stop();
    show(button.dataset.open);
  });
}
for (const link of $$("[data-back]")) {
  link.addEventListener("click", (event) => {
    if (!launched) return;
    event.preventDefault();
    launched();
  });
}
if (page.show === "account") {
  const section = $("#account");
  openAccount(section);
  const said = recall();
  if (said) hail(section, said);
}
if (page.show === "done" && page.finished && (page.back || launched)) show("done");
addEventListener("pagehide", () => stop());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
