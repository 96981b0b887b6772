// How the hosted pages look and whether everybody can use them: every page idle
// and with an error, on a desktop, a phone, in the dark, with large text and from
// right to left.

import assert from "node:assert/strict";
import { clean, openBrowser, presentable } from "./browser.mjs";
import { everyone, stage, totp, visitor } from "./pages-kit.mjs";
import { parameters, run, step } from "./steps.mjs";

// The walk is long, so it goes in two parts; the second one only passes through
// what the first one has looked at.
const { url, framed, chromium, shots, part } = parameters;
const s = stage(url);
const browser = await openBrowser(chromium);

run(async () => {
  const v = await visitor(browser.context);
  const { page, button, heading } = v;
  let looking = part === 1;
  const both = async (name) => { if (looking) await everyone(page, `hosted-${name}`, shots); };

  let codes;
  await step("creating a passkey, and the recovery codes", async () => {
    await v.open(await s.fresh("lea"));
    await both("enrol");
    const taken = await page.evaluate(() => {
      const create = navigator.credentials.create.bind(navigator.credentials);
      navigator.credentials.create = () => Promise.reject(new DOMException("no", "NotAllowedError"));
      window.restore = () => { navigator.credentials.create = create; };
    });
    assert.equal(taken, undefined);
    await button("Create a passkey").click();
    await v.problem().waitFor();
    await both("enrol-problem");
    await page.evaluate(() => window.restore());
    await button("Try again").click();
    await heading("Save your recovery codes").waitFor();
    codes = await page.locator("#codes li").allInnerTexts();
    await both("codes");
    await button("I have saved them").click();
    await v.atShop();
  });

  let secret;
  await step("the account page and its changes", async () => {
    await s.move(60);
    await v.open(await s.settings("lea"));
    await heading("How you confirm it's you").waitFor();
    await page.getByRole("link", { name: "Add an authenticator app" }).click();
    await heading("Confirm it's you").waitFor();
    await both("change");
    await button("Continue with passkey").click();
    await heading("Add an authenticator app").waitFor();
    await button("Show the picture").click();
    await page.locator(".secret").waitFor();
    secret = await page.locator(".secret").innerText();
    await both("app");
    await page.getByLabel("6-digit code").fill("000000");
    await button("Continue").click();
    await v.problem().waitFor();
    await both("app-problem");
    await page.getByLabel("6-digit code").fill(totp(secret, (await s.move(0)).now));
    await button("Continue").click();
    await page.getByText("Added. You can use it from now on.").waitFor();
    await page.getByRole("link", { name: "Add an e-mail address" }).click();
    await heading("Codes by e-mail").waitFor();
    await both("email");
    await page.getByLabel("E-mail address").fill("lea");
    await button("Continue").click();
    await v.problem().waitFor();
    await both("email-problem");
    await page.getByLabel("E-mail address").fill("lea@example.org");
    await button("Continue").click();
    await page.getByText("Have codes sent to lea@example.org from now on").waitFor();
    await button("Continue with passkey").click();
    await page.getByLabel("Code from the e-mail").waitFor();
    await both("email-code");
    await page.getByLabel("Code from the e-mail").fill(await s.code());
    await button("Continue").click();
    await page.getByText("Added. You can use it from now on.").waitFor();
    await page.getByText("Manage").first().click();
    await both("account");
    await page.getByRole("link", { name: "Remove" }).filter({ visible: true }).click();
    await page.getByText("It may still show in your password manager").waitFor();
    await both("remove");
  });

  const end = () => step("every screen is accessible and fits, and no page complained", async () => {
    v.expected(/status of 4\d\d/);
    presentable();
    clean(v);
  });
  if (part === 1) return end();
  looking = true;

  await step("asking for a proof", async () => {
    await s.move(60);
    await v.open(await s.track("lea"));
    await heading("Confirm it's you").waitFor();
    await both("ask");
    await page.getByText("Use another way").click();
    await both("ask-ways");
    await page.getByText("Use another way").click();
    const taken = await v.takeAway();
    await button("Continue with passkey").click();
    await v.problem().waitFor();
    await both("ask-problem");
    await button("Authenticator app").click();
    await both("ask-app");
    await page.getByLabel("Code from your authenticator app").fill("123");
    await button("Continue").click();
    await v.problem().waitFor();
    await both("ask-app-problem");
    await page.getByText("Use another way").filter({ visible: true }).click({ trial: true });
    await button("Code by e-mail").click();
    await both("ask-email");
    await button("Send me a code").click();
    await page.getByText("We sent a code to l…@example.org").waitFor();
    await both("ask-email-sent");
    await button("Recovery code").click({ timeout: 1000 }).catch(async () => {
      await page.getByText("Use another way").click();
      await button("Recovery code").click();
    });
    await both("ask-recovery");
    await v.giveBack(taken);
    await button("I didn't ask for this").click();
    await both("deny");
    await button("Yes, stop it").click();
    await heading("Thank you for telling us").waitFor();
    await both("denied");
  });

  await step("done, notes and people who enrol first", async () => {
    await v.open(await s.track("lea", { nowhere: true }));
    await button("Continue with passkey").click();
    await heading("All done").waitFor();
    await both("done");
    await v.open(await s.track("lea", { state: "BLOCK" }));
    await both("blocked");
    await page.goto(url + "/challenge?c=x");
    await both("gone");
    await v.open(await s.track("mia", { first: true }));
    await heading("First, make sure it's you").waitFor();
    await both("first");
    v.expected(/status of (4\d\d)/);
  });

  await step("Arabic and German", async () => {
    await v.open(await s.track("lea", { locale: "ar", prompt: "دفع 1250 يورو إلى ماريا" }));
    await heading("أكّد هويتك").waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.dir), "rtl");
    await page.getByText("استخدم طريقة أخرى").click();
    await both("ask-ar");
    await v.open(await s.settings("lea", { locale: "ar" }));
    await both("account-ar");
    await v.open(await s.track("lea", { locale: "de-CH", prompt: "1250 € an Maria K. zahlen" }));
    await both("ask-de");
    await v.open(await s.settings("lea", { locale: "de" }));
    await both("account-de");
  });

  await step("an application's own logo and colour", async () => {
    const f = stage(framed);
    const other = await visitor(browser.context);
    await other.open(await f.fresh("lea"));
    await everyone(other.page, "hosted-branded", shots);
    clean(other);
  });

  await step("forced colours and no scripts", async () => {
    await v.open(await s.track("lea"));
    await page.emulateMedia({ forcedColors: "active" });
    if (shots) await page.screenshot({ path: `${shots}/hosted-ask-forced.png` });
    await page.emulateMedia({ forcedColors: "none" });
    const bare = await browser.context.browser()?.newContext({ javaScriptEnabled: false });
    if (bare) {
      const silent = await bare.newPage();
      await silent.goto((await s.track("lea")).link);
      await silent.locator("noscript .problem").waitFor();
      if (shots) await silent.screenshot({ path: `${shots}/hosted-ask-noscript.png` });
      await bare.close();
    }
  });

  await end();
}, browser.close, () => browser.explain(shots));
