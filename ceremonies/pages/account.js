// The account page: names, the default, and what password managers are told.

import { attempt, locale, next, page, post } from "./core.js";
import { signal, supported } from "./webauthn.js";

export function openAccount(section) {
  for (const form of section.querySelectorAll("form[data-rename]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(form.querySelector("button"), "", async () => next(await post("rename", { id: form.dataset.rename, name: form.elements.name.value })));
    });
  }
  for (const button of section.querySelectorAll("[data-prefer]")) {
    button.addEventListener("click", () => attempt(button, "", async () => next(await post("prefer", { id: button.dataset.prefer }))));
  }
  // One menu is open at a time.
  const menus = [...section.querySelectorAll("details")];
  for (const menu of menus) {
    menu.addEventListener("toggle", () => { if (menu.open) for (const other of menus) if (other !== menu) other.open = false; });
  }
  const day = new Intl.DateTimeFormat(locale, { numberingSystem: "latn", dateStyle: "medium" });
  for (const time of section.querySelectorAll("time")) time.textContent = day.format(new Date(time.dateTime));
  if (!supported()) return;
  const { rpId, userId, name, displayName, accepted } = page.signals;
  signal("signalAllAcceptedCredentials", { rpId, userId, allAcceptedCredentialIds: accepted });
  signal("signalCurrentUserDetails", { rpId, userId, name, displayName });
}
