// Adding a way to prove that it is you.

import { $, $$, attempt, device, hail, next, page, post, recall, show, stop, unsupported } from "./core.js";
import { openAsk, openSending } from "./proof.js";
import { create, supported } from "./webauthn.js";

export function openEnrol(section) {
  const button = $("[data-create]", section);
  const method = button.dataset.create;
  button.addEventListener("click", () => attempt(button, method === "PASSKEY" ? "enrol.waiting" : "passkey.waiting", async (abort, trial) => {
    trial.creating = true;
    const begun = await post("enrol/begin", { method });
    await next(await post("enrol/finish", await device(trial, begun, create, abort, section)));
  }));
  const later = $("[data-later]", section);
  later?.addEventListener("click", () => {
    stop();
    attempt(later, "", async () => next(await post("later")));
  });
  const good = recall();
  if (good) hail(section, good);
  if (!supported()) unsupported();
}

export function openApp(section) {
  const [start, form] = [$("[data-start]", section), $("form", section)];
  let challenge;
  start.addEventListener("click", () => attempt(start, "", async () => {
    const begun = await post("app/begin");
    challenge = begun.challenge;
    $("img", section).src = "data:image/png;base64," + begun.qr;
    $("[data-uri]", section).href = begun.uri;
    $(".secret", section).textContent = begun.secret.match(/.{1,4}/g).join(" ");
    start.hidden = true;
    $(".picture", section).hidden = false;
    form.elements.code.focus({ preventScroll: true });
  }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt($(".primary", form), "code.waiting", async () => next(await post("app/finish", { challenge, code: form.elements.code.value })));
  });
}

export function openEmail(section) {
  const [address, code] = $$("form", section);
  // The person has just typed the address: whole, it shows what was mistyped.
  const begin = async () => ({ ...await post("email/begin", { email: page.subject }), to: page.subject });
  const sending = openSending($(".codes", section), begin);
  address.addEventListener("submit", (event) => {
    event.preventDefault();
    page.subject = address.elements.email.value.trim();
    attempt($(".primary", address), "", async () => {
      const reply = await begin();
      if (reply.show === "ask") {
        $("#ask .prompt").textContent = reply.text;
        return show("ask");
      }
      address.hidden = true;
      $(".codes", section).hidden = false;
      sending.sent(reply);
    });
  });
  code.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt($(".primary", code), "code.waiting", async () => next(await post("email/finish", { challenge: sending.challenge(), code: code.elements.code.value })));
  });
  // After the proof the address is begun once more, now with leave to.
  if ($("#ask")) {
    openAsk($("#ask"), async () => {
      const reply = await begin();
      show("email");
      address.hidden = true;
      $(".codes", section).hidden = false;
      sending.sent(reply);
    });
  }
}
