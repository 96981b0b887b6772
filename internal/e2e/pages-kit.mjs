// What the scripts of the hosted pages share: the stage behind the pages, and a
// person with a device in front of them.

import crypto from "node:crypto";
import fs from "node:fs";
import { accessible, fits, openDevice } from "./browser.mjs";

// stage talks to the test's own server: see pages_test.go.
export function stage(url) {
  const ask = async (path, body = {}) => {
    const answer = await fetch(`${url}/test/${path}`, { method: "POST", body: JSON.stringify(body) });
    return answer.json();
  };
  return {
    url,
    track: (user, more = {}) => ask("track", { user, state: "CHALLENGE_REQUIRED", prompt: "Pay €1,250.00 to Maria K.", ...more }),
    // fresh is for a person without anything, who may enrol; account leads to the account page.
    fresh: (user, more = {}) => ask("track", { user, state: "ALLOW", scopes: "add:authenticators", ...more }),
    settings: (user, more = {}) => ask("track", { user, state: "ALLOW", scopes: "account", ...more }),
    move: (seconds) => ask("move", { seconds }),
    code: async () => (await ask("code")).code,
    account: (user) => ask("account", { user }),
    passkey: async (user) => (await ask("account", { user })).authenticators.find((a) => a.Method === "PASSKEY"),
    remove: (user) => ask("remove", { user }),
    app: (user) => ask("app", { user }),
    last: (id) => ask("last", id),
  };
}

// totp is the code that an authenticator app shows (RFC 6238).
export function totp(secret, now) {
  let bits = "";
  for (const c of secret.replaceAll(" ", "")) bits += "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0");
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(now / 30)));
  const mac = crypto.createHmac("sha1", key).update(step).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

// visitor is a person with a device of their own, and the words they look for. The
// device can be made to lie, which openDevice's cannot.
export async function visitor(context, options = {}) {
  let protocol, authenticatorId;
  const device = await openDevice({
    newPage: () => context.newPage(),
    newCDPSession: async (page) => {
      protocol = await context.newCDPSession(page);
      return {
        send: async (command, body) => {
          const answer = await protocol.send(command, body);
          authenticatorId ??= answer.authenticatorId;
          return answer;
        },
      };
    },
  }, options);
  const { page } = device;
  return {
    ...device,
    // authenticator sends a command of the WebAuthn domain about the device.
    authenticator: (command, body) => protocol.send(`WebAuthn.${command}`, { authenticatorId, ...body }),
    heading: (name) => page.getByRole("heading", { name, exact: true }).filter({ visible: true }),
    button: (name) => page.getByRole("button", { name, exact: true }).filter({ visible: true }),
    problem: () => page.getByRole("alert").filter({ visible: true }),
    open: async ({ link }) => {
      await device.focus();
      await page.goto(link);
    },
    atShop: () => page.waitForURL((at) => at.pathname === "/shop" && at.searchParams.has("token")),
    ways: async (name) => {
      const way = page.getByRole("button", { name, exact: true }).filter({ visible: true });
      if (await way.count() === 0) await page.getByText("Use another way").filter({ visible: true }).click();
      await way.click();
    },
    // enrol makes the person's first passkey and saves the recovery codes.
    enrol: async (tracked) => {
      await device.focus();
      await page.goto(tracked.link);
      await page.getByRole("button", { name: "Create a passkey" }).click();
      await page.getByRole("heading", { name: "Save your recovery codes" }).waitFor();
      const codes = await page.locator("#codes li").allInnerTexts();
      await page.getByRole("button", { name: "I have saved them" }).click();
      await page.waitForURL((at) => at.pathname === "/shop");
      return codes;
    },
  };
}

// everyone looks at a page as different people have it: on a desktop, and, the
// hardest, on a small phone in the dark with text of double size.
export async function everyone(page, name, folder) {
  const picture = async (kind) => {
    if (!folder) return;
    fs.mkdirSync(folder, { recursive: true });
    await page.screenshot({ path: `${folder}/${name}-${kind}.png`, fullPage: true, animations: "disabled" });
  };
  const size = (percent) => page.evaluate((wanted) => { document.documentElement.style.fontSize = wanted; }, percent);
  await accessible(page, `${name}, desktop`);
  await picture("desktop");
  await page.setViewportSize({ width: 360, height: 740 });
  await picture("phone");
  await page.emulateMedia({ colorScheme: "dark" });
  await picture("phone-dark");
  await size("200%");
  await accessible(page, `${name}, phone, dark, large text`);
  await fits(page, `${name}, 360 px, large text`);
  await picture("phone-large");
  await size("");
  await page.setViewportSize({ width: 320, height: 640 });
  await fits(page, `${name}, 320 px`);
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 860 });
}
