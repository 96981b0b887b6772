// The main job from end to end: a person pays in the example shop, makes a
// passkey and confirms with it on the hosted page; an operator finds the payment
// in the console and changes the rules.

import assert from "node:assert/strict";
import { accessible, clean, large, look, openBrowser, openDevice, presentable } from "./browser.mjs";
import { consoleSteps } from "./console.mjs";
import { parameters, run, step } from "./steps.mjs";

const { url, shop, invite, chromium, shots } = parameters;

const browser = await openBrowser(chromium);
run(async () => {
  const customer = await openDevice(browser.context);
  const { page } = customer;
  const heading = (name) => page.getByRole("heading", { name, exact: true });
  const button = (name) => page.getByRole("button", { name, exact: true });

  // pay fills in the form and follows wherever it leads.
  async function pay(amount, payee = "Maria Keller") {
    await page.goto(shop);
    await page.getByLabel("Payee").fill(payee);
    await page.getByLabel("Amount in euros").fill(String(amount));
    await button("Pay").click();
  }
  const atShop = async (state) => {
    await page.waitForURL((at) => at.origin === shop && at.pathname.startsWith("/orders/") && !at.search);
    await page.getByRole("status").filter({ hasText: state }).waitFor();
  };
  const orderId = () => new URL(page.url()).pathname.split("/")[2];

  // approve stands on the hosted page and confirms.
  async function approve() {
    await button("Continue with passkey").click();
    await heading("All done").waitFor();
  }

  await step("the person signs in to the shop", async () => {
    await page.goto(shop);
    await page.getByLabel("E-mail address").fill("jane@example.com");
    await button("Continue").click();
    await heading("New payment").waitFor();
    await look(page, "shop-pay", shots);
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByText("You have no passkey yet").waitFor();
  });

  await step("settings lead to the hosted page, where a passkey is made", async () => {
    await button("Add a passkey").click();
    await heading("Create a passkey").waitFor();
    assert.equal(new URL(page.url()).origin, url);
    assert.equal(new URL(page.url()).search, "", "the one-time handle has left the address");
    assert.equal(new URL(page.url()).hash, "");
    await look(page, "enrolment", shots);
    await large(page, "enrolment", shots);
    await button("Create a passkey").click();
    await button("I have saved them").click();
    await heading("Your passkey is ready").waitFor();
    await page.waitForURL((at) => at.origin === shop && at.pathname === "/settings");
    await page.getByText("This device only").waitFor();
    assert.equal((await customer.passkeys()).length, 1);
    await look(page, "shop-settings", shots);
  });

  await step("a small payment is simply paid", async () => {
    await pay(25);
    await atShop("Paid");
    await page.getByText("needed no confirmation").waitFor();
  });

  let challenge;
  await step("a large payment leads to the hosted page, which says what is approved", async () => {
    await pay(250);
    await heading("Confirm it's you").waitFor();
    challenge = page.url();
    assert.equal(new URL(challenge).origin, url);
    assert.equal(new URL(challenge).search, "");
    await page.getByText(/250(\.00)? EUR to Maria Keller/).waitFor();
    const cookies = (await browser.context.cookies(challenge)).filter((cookie) => cookie.path.startsWith("/challenge/"));
    assert(cookies.length > 0 && cookies.every((cookie) => cookie.httpOnly && cookie.sameSite === "Lax"), JSON.stringify(cookies));
    await look(page, "challenge", shots);
    await large(page, "challenge", shots);
  });

  await step("the page works by keyboard alone and survives a reload", async () => {
    await page.reload();
    await heading("Confirm it's you").waitFor();
    await page.keyboard.press("Tab");
    const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim());
    for (let i = 0; i < 5 && await focused() !== "Continue with passkey"; i++) await page.keyboard.press("Tab");
    assert.equal(await focused(), "Continue with passkey");
  });

  await step("a passkey that is not here is told plainly and another try works", async () => {
    const taken = await customer.takeAway();
    await button("Continue with passkey").click();
    const problem = page.getByRole("alert").filter({ visible: true });
    await problem.waitFor();
    assert.match(await problem.innerText(), /passkey/i);
    assert.doesNotMatch(await problem.innerText(), /NotAllowedError|Error:|undefined/);
    await page.getByText("Don't have your passkey here?").waitFor();
    await look(page, "challenge-problem", shots);
    await large(page, "challenge-problem", shots);
    await customer.giveBack(taken);
    await button("Try again").click();
    await heading("All done").waitFor();
    if (shots) await page.screenshot({ path: `${shots}/challenge-done-desktop.png` });
    await atShop("Paid");
    await page.getByText("You confirmed this payment").waitFor();
  });

  const paid = orderId();
  await step("the finished page leads back and never asks again", async () => {
    await page.goto(challenge);
    await page.getByRole("button", { name: "Continue with passkey" }).waitFor({ state: "hidden" });
    await accessible(page, "finished challenge");
  });

  let denied;
  await step("a payment that the person did not ask for is stopped", async () => {
    await pay(300, "Somebody Else");
    await button("I didn't ask for this").click();
    await heading("Stop this request?").waitFor();
    await look(page, "challenge-deny", shots);
    await button("Yes, stop it").click();
    await heading("Thank you for telling us").waitFor();
    await look(page, "challenge-denied", shots);
    await page.getByRole("link", { name: /^Go back to/ }).click();
    await atShop("Declined");
    denied = orderId();
  });

  await step("the person can still pay afterwards", async () => {
    await pay(260);
    await heading("Confirm it's you").waitFor();
    await approve();
    await atShop("Paid");
  });

  await step("links and pages without their secret show nothing", async () => {
    for (const path of ["/challenge", "/challenge?c=garbage", "/challenge/abcdefgh/"]) {
      const answer = await page.goto(url + path);
      assert(answer.status() < 500, `${path}: ${answer.status()}`);
      await page.getByRole("heading", { level: 1 }).filter({ visible: true }).waitFor();
      await accessible(page, path);
    }
    customer.expected(/Failed to load resource: the server responded with a status of 4/);
  });

  await step("every screen is accessible and fits", async () => presentable());

  await consoleSteps({ browser, customer, pay, approve, atShop, heading, paid, denied, invite, url, shop, shots });

  await step("no page complained and no policy was violated", async () => clean(customer));
}, browser.close, () => browser.explain(shots));
