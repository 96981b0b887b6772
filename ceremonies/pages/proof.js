// Proving that it is you: by passkey, security key or a code.

import { $, $$, attempt, device, fill, next, page, post, quiet, say, show, stop, unsupported } from "./core.js";
import { get, supported } from "./webauthn.js";

// Asking for a proof. What follows it is done, where it is not the server's to say.
export function openAsk(section, done = next) {
  const purpose = () => ({ for: page.for, subject: page.subject });
  const panels = $$("[data-panel]", section);
  const choices = $$("[data-way]", section);

  function choose(method, moved) {
    for (const panel of panels) panel.hidden = panel.dataset.panel !== method;
    for (const choice of choices) choice.parentElement.hidden = choice.dataset.way === method;
    $(".ways", section).hidden = choices.every((choice) => !choice.isConnected || choice.parentElement.hidden);
    if (moved) {
      stop();
      quiet(section);
      $(".ways", section).open = false;
      const panel = panels.find((p) => !p.hidden);
      ($("form:not([hidden]) input", panel) ?? $(".primary", panel)).focus();
    }
  }
  for (const choice of choices) choice.addEventListener("click", () => choose(choice.dataset.way, true));
  for (const panel of panels) {
    const method = panel.dataset.panel;
    const start = $("[data-start]", panel);
    start?.addEventListener("click", () => attempt(start, "passkey.waiting", async (abort, trial) => {
      const begun = await post("begin", { ...purpose(), method });
      await done(await post("finish", { ...purpose(), ...await device(trial, begun, get, abort, panel) }));
    }));
    const form = $("form", panel);
    const sending = $("[data-send]", panel) && openSending(panel, () => post("code/send", purpose()));
    form?.addEventListener("submit", (event) => {
      event.preventDefault();
      attempt($(".primary", form), "code.waiting", async () => done(await post("code/finish", {
        ...purpose(), method, challenge: sending?.challenge(), code: form.elements.code.value,
      })));
    });
  }
  const possible = panels.map((panel) => panel.dataset.panel).filter((method) => supported() || !/KEY$/.test(method));
  if (possible.length === 0) return unsupported();
  if (possible.length < panels.length) {
    for (const choice of choices) if (!possible.includes(choice.dataset.way)) choice.parentElement.remove();
    say(section, "say.inapp");
  }
  choose(possible[0]);
}

// A code that is sent: the button that sends it, and a wait before the next one.
export function openSending(panel, send) {
  const form = $("form.code, form", panel);
  const button = $("[data-send]", panel);
  const again = $("[data-again]", panel);
  const label = $("span", again);
  let challenge, timer;
  function sent(reply) {
    challenge = reply.challenge;
    form.hidden = false;
    $(".before", panel).hidden = true;
    $(".sent", panel).textContent = fill("email.sent", { to: reply.to });
    let left = reply.wait;
    clearInterval(timer);
    const tick = () => {
      const over = left <= 0;
      label.textContent = over ? fill("email.again") : fill("email.wait", { n: left });
      if (over) {
        again.removeAttribute("aria-disabled");
        clearInterval(timer);
      } else {
        again.setAttribute("aria-disabled", "true");
      }
      left--;
    };
    timer = setInterval(tick, 1000);
    tick();
    form.elements.code.focus();
  }
  button?.addEventListener("click", () => attempt(button, "", async () => sent(await send())));
  again.addEventListener("click", () => {
    if (again.getAttribute("aria-disabled")) return;
    attempt(again, "", async (abort, trial) => {
      sent(await send());
      trial.after = label.textContent;
    }).then(() => { if (label.textContent !== fill("email.again")) again.setAttribute("aria-disabled", "true"); });
  });
  return { challenge: () => challenge, sent };
}

export function openDeny(section) {
  const yes = $("[data-deny]", section);
  yes.addEventListener("click", () => attempt(yes, "", async () => next(await post("deny"))));
}
