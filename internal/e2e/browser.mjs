// A browser with virtual authenticators, and the checks that every page of the
// product has to pass.
//
// What a virtual authenticator can and cannot do was found out by trying: three
// resident passkeys per device, one focused page per context, never enableUI.

import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

const axeSource = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const flags = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
  // The browser can reach nothing but this machine.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
];

// A platform authenticator whose passkeys stay on the device.
const platform = {
  protocol: "ctap2", ctap2Version: "ctap2_1", transport: "internal", hasResidentKey: true,
  hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true,
};

// The complaints of every device's pages.
const complaints = [];

// openBrowser starts Chromium with a fresh profile.
export async function openBrowser(executablePath) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "sp-profile-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath, headless: true, args: flags, viewport: { width: 1280, height: 860 }, locale: "en-GB",
    timezoneId: "Europe/Berlin",
  });
  context.setDefaultTimeout(15_000);
  return {
    context,
    // explain tells what the pages complained about and photographs them, for the
    // person who looks into a failure.
    explain: async (folder) => {
      for (const trouble of complaints) if (trouble.length > 0) console.error(trouble.join("\n"));
      if (!folder) return;
      fs.mkdirSync(folder, { recursive: true });
      for (const [i, page] of context.pages().entries()) {
        await page.bringToFront();
        await page.screenshot({ path: path.join(folder, `failure-${i}.png`) });
      }
    },
    close: async () => {
      await context.close();
      fs.rmSync(profile, { recursive: true, force: true });
    },
  };
}

// openDevice opens a page with an authenticator of its own: one person's device.
// Everything that the pages complain about is kept in trouble.
export async function openDevice(context, options = {}) {
  const page = await context.newPage();
  const protocol = await context.newCDPSession(page);
  await protocol.send("WebAuthn.enable", { enableUI: false });
  const { authenticatorId } = await protocol.send("WebAuthn.addVirtualAuthenticator", { options: { ...platform, ...options } });
  const trouble = [];
  complaints.push(trouble);
  page.on("pageerror", (error) => trouble.push(`${page.url()}: uncaught ${error.stack ?? error}`));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") trouble.push(`${page.url()}: ${message.type()} ${message.text()} ${message.location().url}`);
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  return {
    page, trouble,
    focus: () => page.bringToFront(),
    passkeys: async () => (await protocol.send("WebAuthn.getCredentials", { authenticatorId })).credentials,
    // takeAway removes the passkeys from the device; giveBack puts them there again.
    takeAway: async () => {
      const { credentials } = await protocol.send("WebAuthn.getCredentials", { authenticatorId });
      await protocol.send("WebAuthn.clearCredentials", { authenticatorId });
      return credentials;
    },
    giveBack: async (credentials) => {
      for (const credential of credentials) await protocol.send("WebAuthn.addCredential", { authenticatorId, credential });
    },
    // expected takes complaints that the test provoked from the list.
    expected: (pattern) => {
      const kept = trouble.filter((text) => !pattern.test(text));
      trouble.splice(0, trouble.length, ...kept);
    },
  };
}

// What axe and the rulers found on the screens so far. A walk goes on over it, so
// that one run tells everything; presentable fails at the end.
const findings = [];

// presentable fails when anything was found since the last call.
export function presentable() {
  if (findings.length > 0) throw new Error(findings.splice(0).join("\n"));
}

// accessible notes what axe finds serious or critical on the page. It evaluates
// the library through the debugging protocol, so the page's content security
// policy stays as it is.
export async function accessible(page, where) {
  await settled(page);
  await page.evaluate(axeSource);
  const violations = await page.evaluate(async () => {
    const result = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return result.violations
      .filter((violation) => violation.impact === "serious" || violation.impact === "critical")
      .map(({ id, impact, help, nodes }) => `${id} (${impact}): ${help}\n${nodes.map((node) => `  ${node.html.slice(0, 300)}\n  ${node.failureSummary}`).join("\n")}`);
  });
  for (const violation of violations) findings.push(`${where}: axe found ${violation}`);
}

// settled waits until no animation or transition runs, so that neither axe nor a
// screenshot sees a colour half way. A change of the colour scheme starts
// transitions only after the page has heard of it: hence the frames in between.
async function settled(page) {
  await page.evaluate(async () => {
    const frame = () => new Promise((drawn) => requestAnimationFrame(drawn));
    for (let quiet = 0; quiet < 3; quiet++) {
      await frame();
      const running = document.getAnimations().filter((animation) =>
        animation.playState === "running" && animation.effect?.getComputedTiming().iterations !== Infinity);
      if (running.length > 0) quiet = -1;
      await Promise.allSettled(running.map((animation) => animation.finished));
    }
  });
}

// fits notes when the page scrolls sideways.
export async function fits(page, where) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  if (content > window) findings.push(`${where}: ${content} px wide in a window of ${window} px`);
}

const desktop = { width: 1280, height: 860 };
const phone = { width: 360, height: 740 };

// look checks a screen as it is on a desktop, on a phone, in the dark and with
// text of double size, and takes pictures of it when a folder for them is given.
export async function look(page, name, folder) {
  const picture = async (kind) => {
    if (!folder) return;
    fs.mkdirSync(folder, { recursive: true });
    await settled(page);
    await page.screenshot({ path: path.join(folder, `${name}-${kind}.png`), fullPage: true });
  };
  await accessible(page, `${name}, desktop`);
  await fits(page, `${name}, desktop`);
  await picture("desktop");
  await page.setViewportSize(phone);
  await accessible(page, `${name}, phone`);
  await fits(page, `${name}, phone`);
  await picture("phone");
  await page.emulateMedia({ colorScheme: "dark" });
  await accessible(page, `${name}, phone, dark`);
  await picture("phone-dark");
  await page.setViewportSize(desktop);
  await accessible(page, `${name}, desktop, dark`);
  await picture("desktop-dark");
  await page.emulateMedia({ colorScheme: "light" });
}

// large checks that a page stays readable with text of 200 % on a phone, and
// takes a picture.
export async function large(page, name, folder) {
  await page.setViewportSize(phone);
  await page.evaluate(() => { document.documentElement.style.fontSize = "200%"; });
  await fits(page, `${name}, phone, large text`);
  await accessible(page, `${name}, phone, large text`);
  if (folder) await page.screenshot({ path: path.join(folder, `${name}-phone-large.png`), fullPage: true });
  await page.evaluate(() => { document.documentElement.style.fontSize = ""; });
  await page.setViewportSize(desktop);
}

// clean fails when a page has complained about anything.
export function clean(...devices) {
  const trouble = devices.flatMap((device) => device.trouble);
  if (trouble.length > 0) throw new Error(`the pages complained:\n${trouble.join("\n")}`);
}
