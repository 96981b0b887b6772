// The account page in a browser: adding, renaming and removing ways to prove that
// it is you, several devices, and getting back in after one was lost.

import assert from "node:assert/strict";
import { clean, openBrowser } from "./browser.mjs";
import { stage, totp, visitor } from "./pages-kit.mjs";
import { parameters, run, step } from "./steps.mjs";

const { url, chromium, shots } = parameters;
const s = stage(url);
const browser = await openBrowser(chromium);

run(async () => {
  const laptop = await visitor(browser.context);
  const { page, button, heading } = laptop;
  const methods = async (user) => ((await s.account(user)).authenticators ?? []).map((a) => a.Method).sort();
  const account = async (v, user = "ada") => {
    await s.move(60);
    await v.open(await s.settings(user));
    await v.heading("How you confirm it's you").waitFor();
  };
  const link = (name) => page.getByRole("link", { name, exact: true }).filter({ visible: true });
  const card = (name) => page.getByRole("listitem").filter({ has: page.getByRole("heading", { name }) });
  const manage = async (name) => {
    await card(name).getByText("Manage").click();
    return card(name);
  };

  let codes;
  await step("whoever has nothing adds the first passkey at once", async () => {
    await s.fresh("ada"); // the person exists
    await laptop.open(await s.fresh("ada", { scopes: "add:authenticators account" }));
    await page.getByText("You have no way to confirm it's you yet").waitFor();
    await link("Add a passkey").click();
    await heading("Create a passkey").waitFor();
    await button("Create a passkey").click();
    await heading("Save your recovery codes").waitFor();
    codes = await page.locator("#codes li").allInnerTexts();
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
    assert.equal(file.suggestedFilename(), "recovery-codes.txt");
    const [stream, parts] = [await file.createReadStream(), []];
    for await (const part of stream) parts.push(part);
    const text = Buffer.concat(parts).toString();
    assert(text.startsWith("Recovery codes for Corner Shop") && codes.every((code) => text.includes(code)), text);
    await button("I have saved them").click();
    await page.getByText("Added. You can use it from now on.").waitFor();
    await card("Passkey").getByText("This device only").waitFor();
    await card("Recovery codes").getByText("10 of 10 left").waitFor();
  });

  await step("a second passkey on the same device is not made", async () => {
    await account(laptop);
    await link("Add a passkey").click();
    await page.getByText("Add a new passkey to your account").waitFor();
    await button("Continue with passkey").click();
    await heading("Create a passkey").waitFor();
    await button("Create a passkey").click();
    await page.getByText("You already have a passkey on this device.").waitFor();
    assert.equal((await laptop.passkeys()).length, 1);
  });

  await step("an authenticator app is added with a proof for exactly that", async () => {
    await link("Add an authenticator app").click();
    await page.getByText("Add an authenticator app to your account").waitFor();
    await button("Continue with passkey").click();
    await button("Show the picture").click();
    await page.locator("img.qr[src^='data:image/png']").waitFor();
    const secret = await page.locator(".secret").innerText();
    await page.getByLabel("6-digit code").fill(totp(secret, (await s.move(0)).now));
    await button("Continue").click();
    await page.getByText("Added. You can use it from now on.").waitFor();
    assert.deepEqual(await methods("ada"), ["AUTHENTICATOR_APP", "PASSKEY", "RECOVERY_CODE"]);
    await s.move(60);
    await laptop.open(await s.track("ada"));
    await laptop.ways("Authenticator app");
    await page.getByLabel("Code from your authenticator app").fill(totp(secret, (await s.move(0)).now));
    await button("Continue").click();
    await heading("All done").waitFor();
  });

  await step("codes by e-mail: the address is proven, and then changed", async () => {
    for (const [name, address] of [["Add an e-mail address", "ada@example.org"], ["Use another e-mail address", "ada@work.example"]]) {
      await account(laptop);
      await link(name).click();
      await page.getByLabel("E-mail address").fill(address);
      await button("Continue").click();
      await page.getByText(`Have codes sent to ${address} from now on`).waitFor();
      await button("Continue with passkey").click();
      await page.getByText(/^We sent a code to ada@/).waitFor();
      await page.getByLabel("Code from the e-mail").fill(await s.code());
      await button("Continue").click();
      await card(address.replace(/^(.).*@/, "$1…@")).waitFor();
    }
    assert.deepEqual(await methods("ada"), ["AUTHENTICATOR_APP", "EMAIL_OTP", "PASSKEY", "RECOVERY_CODE"]);
    await s.move(60);
    await laptop.open(await s.track("ada"));
    await laptop.ways("Code by e-mail");
    await button("Send me a code").click();
    await page.getByText("We sent a code to a…@work.example").waitFor();
    await page.getByLabel("Code from the e-mail").fill(await s.code());
    await button("Continue").click();
    await heading("All done").waitFor();
  });

  await step("a new name, and another default, which is then asked for first", async () => {
    await account(laptop);
    const mine = await manage("Passkey");
    await mine.getByLabel("Name").fill("Ada's laptop");
    await mine.getByRole("button", { name: "Save" }).click();
    await page.getByText("The new name is saved.").waitFor();
    const app = await manage("Authenticator app");
    await app.getByRole("button", { name: "Make it the default" }).click();
    await page.getByText("That is your default now.").waitFor();
    await card("Authenticator app").getByText("Default").waitFor();
    await s.move(60);
    await laptop.open(await s.track("ada"));
    await page.getByLabel("Code from your authenticator app").waitFor();
    await account(laptop);
    await (await manage("Ada's laptop")).getByRole("button", { name: "Make it the default" }).click();
    await page.getByText("That is your default now.").waitFor();
  });

  await step("new recovery codes take the place of the old ones", async () => {
    await account(laptop);
    await link("Make new recovery codes").click();
    await page.getByText("Make new recovery codes. Old ones stop working.").waitFor();
    await button("Continue with passkey").click();
    await heading("Save your recovery codes").waitFor();
    const fresh = await page.locator("#codes li").allInnerTexts();
    assert(fresh.every((code) => !codes.includes(code)));
    codes = fresh;
    await button("I have saved them").click();
    await heading("How you confirm it's you").waitFor();
  });

  await step("a way is removed with a proof that says which, and what is left", async () => {
    await account(laptop);
    await (await manage("Authenticator app")).getByRole("link", { name: "Remove" }).click();
    await page.getByText("Remove “Authenticator app” from your account").waitFor();
    await page.getByText(/You will still have: Ada's laptop/).waitFor();
    await button("Continue with passkey").click();
    await page.getByText("Removed.").waitFor();
    assert.deepEqual(await methods("ada"), ["EMAIL_OTP", "PASSKEY", "RECOVERY_CODE"]);
  });

  await step("the laptop is lost: a recovery code lets another device in, and the old passkey goes", async () => {
    const phone = await visitor(browser.context, { defaultBackupEligibility: true, defaultBackupState: true });
    await account(phone);
    await phone.page.getByRole("link", { name: "Add a passkey" }).click();
    await phone.button("Continue with passkey").click();
    await phone.problem().waitFor(); // it is on the laptop
    await phone.ways("Recovery code");
    await phone.page.getByLabel("One of your recovery codes").fill(codes[7].replaceAll("-", " "));
    await phone.button("Continue").click();
    await phone.heading("Create a passkey").waitFor();
    await phone.button("Create a passkey").click();
    await phone.page.getByText("Added. You can use it from now on.").waitFor();
    await phone.page.getByText("Synced", { exact: true }).waitFor();
    const old = phone.page.getByRole("listitem").filter({ has: phone.page.getByRole("heading", { name: "Ada's laptop" }) });
    await old.getByText("Manage").click();
    await old.getByRole("link", { name: "Remove" }).click();
    await phone.page.getByText("It may still show in your password manager").waitFor();
    await phone.button("Continue with passkey").click();
    await phone.page.getByText("Removed.").waitFor();
    assert.equal((await phone.passkeys()).length, 1);
    await s.move(60);
    await phone.open(await s.track("ada"));
    await phone.button("Continue with passkey").click();
    await phone.heading("All done").waitFor();
    clean(phone);
    await phone.page.close();
  });

  await step("the laptop comes back: its browser drops the passkey that is gone", async () => {
    assert.equal((await laptop.passkeys()).length, 1);
    await account(laptop);
    for (let i = 0; i < 40 && (await laptop.passkeys()).length > 0; i++) await page.waitForTimeout(50);
    assert.equal((await laptop.passkeys()).length, 0);
  });

  await step("the last way is not removed without a word", async () => {
    const v = await visitor(browser.context);
    await s.fresh("cy");
    await v.enrol(await s.fresh("cy"));
    const cy = (await s.account("cy")).authenticators;
    assert.equal(cy.length, 2);
    await account(v, "cy");
    await v.page.getByText("Manage").click();
    await v.page.getByRole("link", { name: "Remove" }).click();
    await v.page.getByText("You will still have: Recovery codes.").waitFor();
    await v.page.getByRole("link", { name: "Cancel" }).click();
    await v.heading("How you confirm it's you").waitFor();
    clean(v);
    await v.page.close();
  });

  await step("a security key beside the passkey", async () => {
    const v = await visitor(browser.context, { transport: "usb", hasResidentKey: true });
    await account(v);
    await v.page.getByRole("link", { name: "Add a security key" }).click();
    await v.ways("Recovery code");
    await v.page.getByLabel("One of your recovery codes").fill(codes[2]);
    await v.button("Continue").click();
    await v.heading("Add a security key").waitFor();
    await v.button("Add security key").click();
    await v.page.getByText("Added. You can use it from now on.").waitFor();
    await s.move(60);
    await v.open(await s.track("ada"));
    await v.ways("Security key");
    await v.button("Continue with security key").click();
    await v.heading("All done").waitFor();
    clean(v);
    await v.page.close();
  });

  await step("no page complained", async () => clean(laptop));
}, browser.close, () => browser.explain(shots));
