// Rules with a second person's approval, in the console: Olga saves a draft,
// Jonas approves it, it is published and taken back, Rita reads.

import assert from "node:assert/strict";
import { clean, look, openBrowser, openDevice, presentable } from "./browser.mjs";
import { parameters, run, step } from "./steps.mjs";

const { url, secret, invites, chromium, shots } = parameters;

// Operators of one browser would share a session.
const browsers = await Promise.all([openBrowser(chromium), openBrowser(chromium), openBrowser(chromium)]);
const close = async () => { await Promise.all(browsers.map((browser) => browser.close())); };
const explain = async () => { for (const [i, browser] of browsers.entries()) await browser.explain(shots && `${shots}/${i}`); };

run(async () => {
  const [olga, jonas, rita] = await Promise.all(browsers.map(({ context }) => openDevice(context)));
  const button = ({ page }, name) => page.getByRole("button", { name, exact: true });
  const heading = ({ page }, name) => page.getByRole("heading", { level: 1, name, exact: true });
  const next = ({ page }) => page.getByRole("region", { name: "Next step" });
  const dialog = ({ page }) => page.getByRole("dialog");
  const view = ({ page }, name) => page.getByRole("navigation", { name: "Rules" }).getByRole("button", { name });

  async function register(person, invite, name) {
    await person.focus();
    await person.page.goto(invite);
    await person.page.getByLabel("Your name").fill(name);
    await button(person, "Create your passkey").click();
    await person.page.getByRole("link", { name: "Rules", exact: true }).click();
    await view(person, /^Drafts/).click();
    await heading(person, "Drafts").waitFor();
  }

  // write replaces the condition of the open rule.
  async function write({ page }, text) {
    const editor = page.getByRole("textbox", { name: "Condition of Large payment" });
    await editor.press("ControlOrMeta+a");
    await editor.press("Delete");
    await editor.pressSequentially(text);
    await page.getByRole("region", { name: "Unpublished changes" }).getByText("no problems").waitFor();
  }
  const draftId = ({ page }) => new URL(page.url()).searchParams.get("draft");

  await step("three operators register with their roles", async () => {
    await register(olga, invites.olga, "Olga");
    await register(jonas, invites.jonas, "Jonas");
    await register(rita, invites.rita, "Rita");
    await rita.page.getByText("Changing them needs the role of an analyst").waitFor();
  });

  await step("without drafts the page says what to do", async () => {
    await olga.focus();
    await olga.page.getByRole("heading", { name: "No drafts" }).waitFor();
    await look(olga.page, "drafts-empty", shots);
  });

  await step("drafts that cannot be loaded are told, and another try works", async () => {
    const { page } = olga;
    await page.route("**/console/api/drafts", (route) => route.abort());
    await page.reload();
    await page.getByRole("alert").filter({ hasText: "The drafts could not be loaded." }).waitFor();
    await look(page, "drafts-error", shots);
    await page.unroute("**/console/api/drafts");
    await button(olga, "Try again").click();
    await page.getByRole("heading", { name: "No drafts" }).waitFor();
    olga.expected(/ERR_FAILED/);
  });

  await step("a changed rule can be saved as a draft, and not be published at once", async () => {
    const { page } = olga;
    await view(olga, /^payment/).click();
    await page.getByRole("button", { name: /Large payment/ }).first().click();
    await write(olga, "custom.amount > 20");
    assert.equal(await button(olga, "Review and publish").count(), 0);
    await button(olga, "Save as draft").click();
    await button(olga, "Save draft").click();
    await dialog(olga).getByText("Say in a few words what changes.").waitFor();
    await dialog(olga).getByLabel("Title").fill("Ask from 20 euros on");
    await look(page, "draft-save", shots);
    await button(olga, "Save draft").click();
    await heading(olga, "Ask from 20 euros on").waitFor();
    assert.match(draftId(olga), /^draft-/);
  });

  await step("its author is told why somebody else must approve it", async () => {
    await next(olga).getByText("You worked on this draft, so somebody else must approve it.").waitFor();
    assert.equal(await button(olga, "Approve revision 1").count(), 0);
    assert.equal(await button(olga, "Publish").isDisabled(), true);
    await olga.page.getByText("No problems").waitFor();
    const changes = olga.page.getByRole("region", { name: /^What it changes: 1 thing in set 1/ });
    assert.match(await changes.innerText(), /Large payment/);
    assert.equal(await changes.locator("ins").filter({ hasText: "20" }).count(), 1);
    await look(olga.page, "draft-own", shots);
  });

  await step("a colleague finds it in the list", async () => {
    const { page } = jonas;
    await jonas.focus();
    await page.reload();
    const entry = page.getByRole("link", { name: /Ask from 20 euros on/ });
    assert.match(await entry.innerText(), /Olga, [\s\S]*Revision 1, based on set 1[\s\S]*Waits for approval/);
    await look(page, "drafts", shots);
    await entry.click();
    await button(jonas, "Approve revision 1").waitFor();
    assert.equal(await button(jonas, "Publish").count(), 0, "what is missing comes first");
    await look(page, "draft-waiting", shots);
  });

  await step("a revision that came meanwhile is not approved unseen", async () => {
    // Until he approves, Jonas's page hears nothing of the newer revision.
    const { page } = jonas;
    const before = await (await page.request.get(`${url}/console/api/drafts`)).json();
    let approved = false;
    await page.route("**/console/api/drafts", (route) => (approved ? route.continue() : route.fulfill({ json: before })));
    await page.route("**/console/api/drafts/approve", (route) => { approved = true; return route.continue(); });

    await olga.focus();
    await button(olga, "Edit").click();
    await olga.page.getByText("Draft “Ask from 20 euros on”: 1 change").waitFor();
    await view(olga, /^payment/).click();
    await olga.page.getByRole("button", { name: /Large payment/ }).first().click();
    await write(olga, "custom.amount > 30");
    await button(olga, "Save the draft").click();
    await dialog(olga).getByLabel("Title").fill("Ask from 30 euros on");
    await button(olga, "Save draft").click();
    await heading(olga, "Ask from 30 euros on").waitFor();

    await jonas.focus();
    await button(jonas, "Approve revision 1").click();
    await page.getByText(/Olga saved revision 2 while you were reading/).waitFor();
    assert.equal(await next(jonas).count(), 0);
    await look(page, "draft-newer", shots);
    await button(jonas, "Show revision 2").click();
    await heading(jonas, "Ask from 30 euros on").waitFor();
    await page.unrouteAll();
    jonas.expected(/drafts\/approve: .*|status of 409/);
  });

  await step("the colleague approves what they have read", async () => {
    await button(jonas, "Approve revision 2").click();
    await jonas.page.getByRole("region", { name: "Approvals" }).getByText("Jonas").waitFor();
    await next(jonas).getByText("Approved.").waitFor();
    assert.equal(await button(jonas, "Approve revision 2").count(), 0);
    assert.equal(await button(jonas, "Publish").isEnabled(), true);
    await look(jonas.page, "draft-approved", shots);
  });

  await step("a reviewer reads it, and is offered nothing", async () => {
    await rita.focus();
    await rita.page.goto(`${url}/console/rules?draft=${draftId(jonas)}`);
    await heading(rita, "Ask from 30 euros on").waitFor();
    await rita.page.getByText("No problems").waitFor();
    assert.equal(await next(rita).count(), 0);
    await look(rita.page, "draft-reviewer", shots);
  });

  await step("its author publishes it", async () => {
    const { page } = olga;
    await olga.focus();
    await page.reload();
    await button(olga, "Publish").click();
    await dialog(olga).getByText(/Every decision from then on/).waitFor();
    await look(page, "draft-publish", shots);
    await button(olga, "Publish set 2").click();
    await page.getByText("Set 2 is in force.").waitFor();
    await page.getByRole("link", { name: /^Set 2\s*Ask from 30 euros on/ }).waitFor();
    await look(page, "history", shots);
  });

  await step("the draft is gone for everybody", async () => {
    await jonas.focus();
    await jonas.page.reload();
    await heading(jonas, "There is no such draft").waitFor();
    await look(jonas.page, "draft-gone", shots);
    jonas.expected(/status of 404/);
  });

  await step("an older set can be read and compared", async () => {
    const { page } = jonas;
    await view(jonas, "History").click();
    await page.getByRole("link", { name: /^Set 1\s/ }).click();
    await page.getByRole("heading", { name: "Going back changes 1 thing in set 2" }).waitFor();
    await look(page, "set", shots);
    await page.getByText("All rules", { exact: true }).click();
    await page.getByRole("combobox", { name: "Action" }).selectOption("payment");
    await page.getByRole("button", { name: /Large payment/ }).first().click();
    await page.getByRole("textbox", { name: "Condition of Large payment" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Add rule" }).count(), 0);
    await look(page, "set-rules", shots);
  });

  await step("rolling back makes it the next set, without approval", async () => {
    const { page } = jonas;
    await button(jonas, "Roll back to set 1").click();
    await dialog(jonas).getByText(/become set 3 and are in force at once/).waitFor();
    await dialog(jonas).getByLabel("Why").fill("Too many complaints");
    await look(page, "set-roll-back", shots);
    await button(jonas, "Roll back as set 3").click();
    await page.getByText("Set 3 is in force.").waitFor();
    await page.getByRole("link", { name: /^Set 3\s*Back to rule set 1: Too many complaints/ }).waitFor();
    const [inForce, first] = await Promise.all(["rules", "rules/version?number=1"].map(async (path) => (await page.request.get(`${url}/console/api/${path}`)).json()));
    assert.equal(inForce.number, 3);
    assert.deepEqual(inForce.definition, first.definition);
  });

  await step("a draft from outside that was overtaken says so, with its problems", async () => {
    const { definition } = await (await olga.page.request.get(`${url}/console/api/rules`)).json();
    const payment = definition.actions.find(({ code }) => code === "payment");
    payment.rules.push({ id: "tiny", name: "Tiny payment", when: "custom.amount < 1", outcome: "BLOCK" }, { id: "tiny-again", name: "Tiny payment again", when: "custom.amount < 1", outcome: "REVIEW" });
    definition.tests = [
      { name: "a tiny payment is blocked", action: "payment", facts: { "custom.amount": 0.5 }, want: "BLOCK" },
      { name: "a small payment is reviewed", action: "payment", facts: { "custom.amount": 5 }, want: "REVIEW" },
    ];
    const saved = await fetch(`${url}/v1/management/drafts?title=Tiny%20payments&base=2`, {
      method: "POST", headers: { "Content-Type": "application/json", Authorization: `Basic ${btoa(`${secret}:`)}` }, body: JSON.stringify(definition),
    });
    assert.equal(saved.status, 200, await saved.clone().text());
    const { id } = await saved.json();
    await olga.focus();
    await olga.page.goto(`${url}/console/rules?draft=${id}`);
    await next(olga).getByText("It is based on set 2, and set 3 is in force by now.").waitFor();
    assert.equal(await button(olga, "Publish").isDisabled(), true);
    const tests = olga.page.getByRole("region", { name: "Tests" }).getByRole("listitem");
    await tests.nth(1).waitFor();
    assert.match(await tests.first().innerText(), /a small payment is reviewed/, "what failed comes first");
    await look(olga.page, "draft-outdated", shots);
  });

  await step("it is compared with the set in force and saved again", async () => {
    await button(olga, "Edit").click();
    await button(olga, "Save the draft").click();
    await dialog(olga).getByText("Somebody was faster.").waitFor();
    await dialog(olga).getByRole("button", { name: "Keep my version and compare it with set 3" }).click();
    await button(olga, "Save draft").click();
    await olga.page.getByText(/^Olga, .*Revision 2, based on set 3/).waitFor();
    await next(olga).getByText("Waits for approval.").waitFor();
  });

  await step("a draft is deleted only when that is confirmed", async () => {
    await button(olga, "Delete").click();
    await look(olga.page, "draft-delete", shots);
    await dialog(olga).getByRole("button", { name: "Cancel" }).click();
    await button(olga, "Delete").click();
    await dialog(olga).getByRole("button", { name: "Delete the draft" }).click();
    await olga.page.getByRole("heading", { name: "No drafts" }).waitFor();
  });

  await step("every screen is accessible and fits", async () => presentable());

  await step("no page complained", async () => {
    for (const person of [olga, jonas, rita]) person.expected(/console\/api\/session: error Failed to load resource.*401|status of 401/);
    clean(olga, jonas, rita);
  });
}, close, explain);
