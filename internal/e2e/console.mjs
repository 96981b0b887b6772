// The console's part of the walk: an operator registers, finds what the person
// did in the shop, and changes a rule.

import assert from "node:assert/strict";
import { clean, look, openDevice, presentable } from "./browser.mjs";
import { step } from "./steps.mjs";

export async function consoleSteps({ browser, customer, pay, approve, atShop, heading, paid, denied, invite, url, shots }) {
  const operator = await openDevice(browser.context);
  const { page } = operator;
  const button = (name) => page.getByRole("button", { name, exact: true });
  const list = page.getByRole("grid", { name: "Decisions, newest first" });
  const rows = list.locator("[data-index]");
  // Other cells filter the list by what they hold.
  const open = (index) => rows.nth(index).getByRole("gridcell").first().click();

  await step("the operator registers through the one-time link", async () => {
    await operator.focus();
    await page.goto(invite);
    await page.getByRole("heading", { name: "Welcome to the console" }).waitFor();
    assert.doesNotMatch(page.url(), /invite/, "the secret has left the address");
    await look(page, "console-register", shots);
    await button("Create your passkey").click();
    await page.getByText("Enter your name.").waitFor();
    await page.getByLabel("Your name").fill("Olga");
    await button("Create your passkey").click();
    await list.waitFor();
    assert.equal((await operator.passkeys()).length, 1);
  });

  await step("the link registers nobody else", async () => {
    const secret = new URLSearchParams(new URL(invite).hash.slice(1)).get("invite");
    const answer = await fetch(`${url}/console/api/register/begin`, {
      method: "POST", headers: { "Content-Type": "application/json", Origin: url }, body: JSON.stringify({ invite: secret, name: "Mallory" }),
    });
    assert.equal(answer.status, 400, await answer.text());
    for (const path of ["session", "decisions", "rules", "status"]) {
      assert.equal((await fetch(`${url}/console/api/${path}`)).status, 401, `${path} without a session`);
    }
  });

  await step("the decisions come from the archive", async () => {
    for (const deadline = Date.now() + 30_000; ;) {
      const { source, decisions } = await (await page.request.get(`${url}/console/api/decisions`)).json();
      if (source === "archive" && decisions.length >= 5) break;
      assert(Date.now() < deadline, `after 30 s the source is ${source} with ${decisions.length} decisions`);
    }
    await page.goto(`${url}/console/decisions`);
    await rows.nth(4).waitFor();
    const texts = await rows.allInnerTexts();
    for (const [index, pattern] of [/Challenge\s+passed\s+payment/, /Challenge\s+failed\s+payment/, /Challenge\s+passed\s+payment/, /Allow\s+payment/, /Allow\s+add-passkey/].entries()) {
      assert.match(texts[index], pattern);
    }
    await look(page, "console-decisions", shots);
  });

  const panel = page.getByRole("region", { name: /^Decision about payment by / });
  await step("a decision tells the rule, the steps and the facts", async () => {
    await open(2);
    await panel.getByText(paid, { exact: true }).waitFor();
    await panel.getByText("Challenged because the rule “Large payment” matched.").waitFor();
    const spoke = panel.getByRole("region", { name: "Rules that spoke" });
    assert.match((await spoke.getByRole("listitem").filter({ hasText: "Large payment" }).innerText()), /matched[\s\S]*decided/);
    const story = await panel.getByRole("region", { name: "What happened" }).innerText();
    for (const kind of ["action.tracked", "ceremony.begun", "ceremony.succeeded"]) assert(story.includes(kind), `${kind} is missing:\n${story}`);
    const known = panel.getByRole("region", { name: "What was known" });
    assert.match(await known.innerText(), /custom\.amount\s+250/);
    assert.match(await known.innerText(), /user\.isEnrolled\s+(true|yes)/);
    assert.doesNotMatch(await known.innerText(), /jane@example\.com/, "personal data is hidden at first");
    await known.getByRole("button", { name: "Show personal data" }).click();
    await known.getByText("jane@example.com").first().waitFor();
    await page.getByRole("button", { name: "Hide personal data" }).click();
    await look(page, "console-decision", shots);
  });

  await step("the address leads to the same decision again", async () => {
    await page.reload();
    await panel.getByText(paid, { exact: true }).waitFor();
    await button("Close the decision").click();
    await panel.waitFor({ state: "hidden" });
  });

  await step("a stopped payment says that the person did not ask for it", async () => {
    await open(1);
    await panel.getByText(denied, { exact: true }).waitFor();
    assert.match(await panel.getByRole("region", { name: "What happened" }).innerText(), /ceremony\.denied/);
    await page.keyboard.press("Escape");
    await panel.waitFor({ state: "hidden" });
  });

  await step("filters stand in the address and narrow the list", async () => {
    await page.getByRole("radiogroup", { name: "Outcome" }).getByText("Allow", { exact: true }).click();
    await page.waitForURL(/outcome=/);
    await page.getByRole("list", { name: "Filters that are set" }).getByText("outcome").waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll("[data-index]")].every((row) => !row.textContent.includes("Challenge")));
    assert.equal(await rows.count(), 2);
    await button("Clear all").click();
    await rows.nth(4).waitFor();
  });

  const editor = page.getByRole("textbox", { name: "Condition of Large payment" });
  // write replaces the condition as a person does who clears the field first.
  async function write(text) {
    await editor.press("ControlOrMeta+a");
    await editor.press("Delete");
    await editor.pressSequentially(text);
  }
  await step("a rule with a mistake is marked while it is written", async () => {
    await page.getByRole("link", { name: "Rules" }).click();
    await page.getByRole("navigation", { name: "Rules" }).getByRole("button", { name: /^payment/ }).click();
    await look(page, "console-rules", shots);
    await page.getByRole("button", { name: /Large payment/ }).first().click();
    await write("custom.amout > 20");
    await page.getByText(/custom\.amout/).filter({ hasText: /declared|undeclared|not known/ }).first().waitFor();
    await page.getByText("line 1").first().waitFor();
    await look(page, "console-rule-problem", shots);
    await button("Review and publish").click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(/1 problem to mend first/).waitFor();
    assert.equal(await dialog.getByRole("button", { name: /^Publish set/ }).isDisabled(), true);
    await dialog.getByRole("button", { name: "Go on editing" }).click();
  });

  await step("a mended rule is published with a reason", async () => {
    await write("custom.amount > 20");
    await page.getByRole("region", { name: "Unpublished changes" }).getByText("no problems").waitFor();
    await look(page, "console-rule", shots);
    await button("Review and publish").click();
    const dialog = page.getByRole("dialog");
    const publish = dialog.getByRole("button", { name: /^Publish set/ });
    await publish.click();
    await dialog.getByText("Say in a few words why.").waitFor();
    await dialog.getByLabel("Why").fill("Small payments were abused");
    await look(page, "console-publish", shots);
    await publish.click();
    await page.getByText(/Set \d+ is in force/).waitFor();
    await page.getByRole("navigation", { name: "Rules" }).getByRole("button", { name: "History" }).click();
    await page.getByText("Small payments were abused").waitFor();
    await page.getByText("Olga").first().waitFor();
    await look(page, "console-history", shots);
  });

  await step("the next payment follows the new rule", async () => {
    await customer.focus();
    await pay(25);
    await heading("Confirm it's you").waitFor();
    await approve();
    await atShop("Paid");
  });

  await step("the list shows it by itself, with the new set", async () => {
    await operator.focus();
    await page.getByRole("link", { name: "Decisions", exact: true }).click();
    await rows.nth(5).waitFor({ timeout: 30_000 });
    await rows.first().filter({ hasText: "passed" }).waitFor({ timeout: 30_000 });
    await open(0);
    await panel.getByText("custom.amount", { exact: true }).waitFor();
    assert.match(await panel.innerText(), /Rule set\s+2,/);
    await page.keyboard.press("Escape");
  });

  await step("the operator signs out and in again with the passkey", async () => {
    await page.getByRole("button", { name: /^Your account/ }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in to the console" }).waitFor();
    await look(page, "console-sign-in", shots);
    await button("Sign in with a passkey").click();
    await list.waitFor();
  });

  await step("every screen of the console is accessible and fits", async () => presentable());

  await step("no page of the console complained", async () => {
    operator.expected(/console\/api\/session: error Failed to load resource.*401/);
    clean(operator);
  });
}
