// The challenge page in a browser: every way to prove that it is you, everything
// that a browser or an authenticator can do wrong, and what the person reads then.

import assert from "node:assert/strict";
import { clean, openBrowser } from "./browser.mjs";
import { stage, visitor } from "./pages-kit.mjs";
import { parameters, run, step } from "./steps.mjs";

const { url, other, framed, launcher, chromium, shots } = parameters;
const s = stage(url);
const browser = await openBrowser(chromium);
const codesOf = (text) => /NotAllowedError|InvalidState|undefined|\{|DOMException|Error:/.test(text);

run(async () => {
  const anna = await visitor(browser.context);
  const { page, button, heading, problem } = anna;
  const says = async (v, text) => {
    const alert = v.problem();
    await alert.filter({ hasText: text }).waitFor();
    assert(!codesOf(await alert.innerText()), await alert.innerText());
    const focused = await v.page.evaluate(() => document.activeElement.matches(".problem, input"));
    assert(focused, "neither the message nor the field has the focus");
  };
  const recorded = async (tracked, wanted) => {
    for (let i = 0; ; i++) {
      const { last } = await s.last(tracked.id);
      const found = Object.fromEntries(Object.keys(wanted).map((key) => [key, last[key]]));
      try {
        return assert.deepEqual(found, wanted);
      } catch (error) {
        if (i === 20) throw error;
        await page.waitForTimeout(50);
      }
    }
  };

  let codes;
  await step("a first passkey comes with recovery codes, shown once", async () => {
    codes = await anna.enrol(await s.fresh("anna"));
    assert.equal(codes.length, 10);
    assert(codes.every((code) => /^\w{4}-\w{4}-\w{4}-\w{4}$/.test(code)));
    await s.move(60);
  });

  await step("none here: likely cause first, then no claim; the ceremony ends in the trail", async () => {
    const tracked = await s.track("anna");
    await anna.open(tracked);
    const taken = await anna.takeAway();
    await button("Continue with passkey").click();
    await says(anna, "It looks like your passkey isn't on this device");
    await recorded(tracked, { browser: "NotAllowedError", reason: "browser" });
    assert(await button("Recovery code").isVisible(), "another way is there after the first failure");
    await button("Try again").click();
    await says(anna, "Your passkey was not used");
    await anna.giveBack(taken);
    await button("Try again").click();
    await heading("All done").waitFor();
    await anna.atShop();
  });

  await step("the device does not recognize the person", async () => {
    const tracked = await s.track("anna");
    await anna.open(tracked);
    await anna.authenticator("setUserVerified", { isUserVerified: false });
    await button("Continue with passkey").click();
    await problem().waitFor();
    await recorded(tracked, { browser: "NotAllowedError" });
    await anna.authenticator("setUserVerified", { isUserVerified: true });
  });

  await step("time runs out, and there is more of it", async () => {
    await page.route("**/begin", async (route) => {
      const answer = await route.fetch();
      const body = await answer.json();
      body.options.timeout = 1500;
      await route.fulfill({ response: answer, json: body });
    });
    await anna.open(await s.track("anna"));
    await anna.authenticator("setAutomaticPresenceSimulation", { enabled: false });
    await button("Continue with passkey").click();
    await page.getByText("Waiting for your passkey…").waitFor();
    await button("Waiting for your passkey…").click(); // cannot be pressed twice
    await says(anna, "Time ran out before your passkey was used");
    await page.unroute("**/begin");
    await anna.authenticator("setAutomaticPresenceSimulation", { enabled: true });
    await button("Give me more time").click();
    await heading("All done").waitFor();
  });

  await step("another way ends the one that waits", async () => {
    const tracked = await s.track("anna");
    await anna.open(tracked);
    await anna.authenticator("setAutomaticPresenceSimulation", { enabled: false });
    await button("Continue with passkey").click();
    await page.getByText("Follow the steps your device shows.").waitFor();
    await anna.ways("Recovery code");
    await recorded(tracked, { browser: "AbortError" });
    assert(await problem().count() === 0, "nothing went wrong");
    await anna.authenticator("setAutomaticPresenceSimulation", { enabled: true });
    await anna.ways("Passkey");
    await button("Continue with passkey").click();
    await heading("All done").waitFor();
  });

  for (const [name, bits] of Object.entries({
    "a signature that is wrong": { isBogusSignature: true },
    "an answer without user verification": { isBadUV: true },
    "an answer without presence": { isBadUP: true },
  })) {
    await step(`${name} is refused`, async () => {
      await anna.open(await s.track("anna"));
      await anna.authenticator("setResponseOverrideBits", bits);
      await button("Continue with passkey").click();
      await says(anna, "We couldn't check that passkey");
      assert.match(await problem().innerText(), /Reference for support: [A-Z2-7]{4}-[A-Z2-7]{4}/);
      await anna.authenticator("setResponseOverrideBits", {});
      anna.expected(/status of 400/);
    });
  }

  await step("tries are used up: a calm stop", async () => {
    await anna.open(await s.track("anna"));
    await anna.authenticator("setResponseOverrideBits", { isBogusSignature: true });
    await button("Continue with passkey").click();
    for (let i = 0; i < 3; i++) {
      await problem().waitFor();
      await button("Try again").click();
      await page.waitForFunction(() => !document.querySelector("[data-busy]"));
    }
    await heading("Let's stop here").waitFor();
    await anna.authenticator("setResponseOverrideBits", {});
    anna.expected(/status of 4(00|29)/);
  });

  await step("the page lowers what it asks for: the server does not", async () => {
    await page.route("**/begin", async (route) => {
      const answer = await route.fetch();
      const body = await answer.json();
      body.options.userVerification = "discouraged";
      await route.fulfill({ response: answer, json: body });
    });
    await anna.authenticator("setUserVerified", { isUserVerified: false });
    await anna.open(await s.track("anna"));
    await button("Continue with passkey").click();
    await problem().waitFor();
    await page.unroute("**/begin");
    await anna.authenticator("setUserVerified", { isUserVerified: true });
    anna.expected(/status of 400/);
  });

  await step("the same answer twice", async () => {
    let sent;
    await page.route("**/finish", async (route) => {
      sent = route.request();
      await route.continue();
    });
    await anna.open(await s.track("anna", { nowhere: true }));
    await button("Continue with passkey").click();
    await heading("All done").waitFor();
    await page.unroute("**/finish");
    const [status, reply] = await page.evaluate(async ([to, body]) => {
      const answer = await fetch(to, { method: "POST", headers: { "Content-Type": "application/json" }, body });
      return [answer.status, await answer.json()];
    }, [sent.url(), sent.postData()]);
    assert.equal(status, 400);
    assert.equal(reply.say, "say.slow");
    anna.expected(/status of 400/);
  });

  await step("a signature counter that goes back is refused", async () => {
    await anna.open(await s.track("anna"));
    const [credential] = await anna.takeAway();
    await anna.giveBack([{ ...credential, signCount: 0 }]);
    await button("Continue with passkey").click();
    await says(anna, "We couldn't check that passkey");
    await anna.takeAway();
    await anna.giveBack([{ ...credential, signCount: 100 }]);
    await button("Try again").click();
    await heading("All done").waitFor();
    anna.expected(/status of 400/);
  });

  await step("somebody else's passkey is refused", async () => {
    const bea = await visitor(browser.context);
    await bea.enrol(await s.fresh("bea"));
    const [hers] = await bea.passkeys();
    await s.move(60);
    await bea.page.route("**/begin", async (route) => {
      const answer = await route.fetch();
      const body = await answer.json();
      body.options.allowCredentials = [{ type: "public-key", transports: ["internal"], id: hers.credentialId.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "") }];
      await route.fulfill({ response: answer, json: body });
    });
    await bea.open(await s.track("anna"));
    await bea.button("Continue with passkey").click();
    await bea.problem().waitFor();
    bea.expected(/status of 400/);
    clean(bea);
    await bea.page.close();
  });

  await step("synced passkeys: newly backed up, and newly able to", async () => {
    const synced = await visitor(browser.context, { defaultBackupEligibility: true, defaultBackupState: false });
    await synced.enrol(await s.fresh("sam"));
    await s.move(60);
    const [mine] = await synced.passkeys();
    assert.equal((await s.passkey("sam")).BackedUp, false);
    await synced.authenticator("setCredentialProperties", { credentialId: mine.credentialId, backupState: true });
    await synced.open(await s.track("sam"));
    await synced.button("Continue with passkey").click();
    await synced.heading("All done").waitFor();
    const stored = await s.passkey("sam");
    assert(stored.Synced && stored.BackedUp);
    clean(synced);
    await synced.page.close();
    const bound = await visitor(browser.context);
    await bound.enrol(await s.fresh("bob"));
    await s.move(60);
    const [his] = await bound.passkeys();
    await bound.authenticator("setCredentialProperties", { credentialId: his.credentialId, backupEligibility: true, backupState: true });
    await bound.open(await s.track("bob"));
    await bound.button("Continue with passkey").click();
    await bound.heading("All done").waitFor();
    assert((await s.passkey("bob")).Synced, "it counts as synced from now on");
    clean(bound);
    await bound.page.close();
  });

  await step("the server forgot the passkey: the device drops it", async () => {
    const v = await visitor(browser.context);
    await v.enrol(await s.fresh("fay"));
    await s.move(60);
    await v.open(await s.track("fay"));
    await v.page.route("**/finish", async (route) => {
      await s.remove("fay");
      await route.continue();
    });
    await v.button("Continue with passkey").click();
    await says(v, "no longer linked to your account");
    for (let i = 0; i < 40 && (await v.passkeys()).length > 0; i++) await v.page.waitForTimeout(50);
    assert.equal((await v.passkeys()).length, 0);
    await v.page.close();
  });

  await step("another origin's page gets nothing", async () => {
    const tracked = await s.track("anna");
    await anna.focus();
    await page.goto(other + tracked.path);
    await button("Continue with passkey").click();
    await says(anna, "Something went wrong");
    anna.expected(/status of 403/);
    assert.deepEqual(await s.last(tracked.id), { state: "CHALLENGE_REQUIRED", last: null });
  });

  await step("a wrong address is told as such", async () => {
    await anna.open(await s.track("anna"));
    await page.route("**/begin", async (route) => {
      const answer = await route.fetch();
      const body = await answer.json();
      body.options.rpId = "shop.example";
      await route.fulfill({ response: answer, json: body });
    });
    await button("Continue with passkey").click();
    await says(anna, "Passkeys don't work at this address");
    await problem().getByRole("link", { name: "Open in your browser" }).waitFor();
    await page.unroute("**/begin");
  });

  await step("a browser without passkeys offers what works", async () => {
    const v = await visitor(browser.context);
    await v.page.addInitScript(() => { delete window.PublicKeyCredential; });
    await v.open(await s.track("anna"));
    await says(v, "Passkeys don't work in this browser");
    await v.page.getByLabel("One of your recovery codes").fill(codes[0].toLowerCase());
    await v.button("Continue").click();
    await v.heading("All done").waitFor();
    await v.open(await s.track("bob", { allowed: ["PASSKEY"] }));
    await v.heading("This browser can't use passkeys").waitFor();
    await v.page.getByRole("link", { name: "Open in your browser" }).waitFor();
    clean(v);
    await v.page.close();
  });

  await step("to enrol first: a code, a passkey, and then the action's own question", async () => {
    const v = await visitor(browser.context);
    const tracked = await s.track("eve", { first: true });
    await v.open(tracked);
    await v.heading("First, make sure it's you").waitFor();
    await v.page.getByText("Pay €1,250.00 to Maria K.").waitFor();
    await v.page.getByText("We'll send a code to e…@example.com.").waitFor();
    await v.button("Send me a code").click();
    const field = v.page.getByLabel("Code from the e-mail");
    assert.equal(await field.getAttribute("autocomplete"), "one-time-code");
    assert.equal(await field.getAttribute("inputmode"), "numeric");
    assert(await field.evaluate((e) => e === document.activeElement), "the field has the focus");
    await v.page.getByText(/You can ask for a new code in \d+ s/).waitFor();
    const code = await s.code();
    await field.fill(code === "111111" ? "222222" : "111111");
    await v.button("Continue").click();
    await says(v, "That code didn't work");
    assert.equal(await field.getAttribute("aria-invalid"), "true");
    await field.fill(`${code.slice(0, 3)} ${code.slice(3)}`);
    await field.press("Enter");
    await v.heading("Create a passkey").waitFor();
    await v.button("Create a passkey").click();
    await v.heading("Save your recovery codes").waitFor();
    await v.button("I have saved them").click();
    await v.heading("Confirm it's you").waitFor();
    await v.page.getByText("Pay €1,250.00 to Maria K.").waitFor();
    await v.button("Continue with passkey").click();
    await v.heading("All done").waitFor();
    await v.atShop();
    assert.equal((await s.last(tracked.id)).state, "CHALLENGE_SUCCEEDED");
    v.expected(/status of 400/);
    clean(v);
    await v.page.close();
  });

  await step("too many wrong codes lock codes and not the passkey", async () => {
    const wrong = "000000";
    await s.app("anna");
    for (let tried = 0; tried < 10;) {
      await anna.open(await s.track("anna"));
      await anna.ways("Authenticator app");
      for (let i = 0; i < 3 && tried < 10; i++, tried++) {
        await page.getByLabel("Code from your authenticator app").fill(wrong);
        await button("Continue").click();
        await page.waitForFunction(() => !document.querySelector("[data-busy]"));
      }
    }
    await page.getByLabel("Code from your authenticator app").fill(wrong);
    await button("Continue").click();
    await says(anna, /Too many codes were wrong\. Codes work again at .*\d+:\d\d/);
    await anna.ways("Passkey");
    await button("Continue with passkey").click();
    await heading("All done").waitFor();
    await s.move(16 * 60);
    anna.expected(/status of 4(00|29)/);
  });

  await step("after another way a passkey is offered, and not again after “Not now”", async () => {
    const proveByCode = async (code) => {
      await anna.open(await s.track("anna", { scope: "add:authenticators" }));
      await anna.ways("Recovery code");
      await page.getByLabel("One of your recovery codes").fill(code);
      await button("Continue").click();
    };
    await proveByCode(codes[1]);
    await heading("Create a passkey").waitFor();
    await page.getByText("That worked. One more step.").waitFor();
    await button("Create a passkey").click(); // it is there already: good news
    await heading("You already have a passkey here").waitFor();
    await anna.atShop();
    await s.move(60);
    await proveByCode(codes[2]);
    await button("Not now").click();
    await anna.atShop();
    await s.move(60);
    await proveByCode(codes[3]);
    await heading("All done").waitFor();
    await s.move(8 * 24 * 3600);
    await proveByCode(codes[4]);
    await heading("Create a passkey").waitFor();
  });

  const f = stage(framed);
  await step("in a frame of a listed page, with permission", async () => {
    const v = await visitor(browser.context);
    await v.enrol(await f.fresh("anna"));
    await f.move(60);
    const tracked = await f.track("anna");
    const launch = (more) => `${launcher}/launch?src=${encodeURIComponent(tracked.link)}${more}`;
    await v.page.goto(launch("&allow=1"));
    const frame = v.page.frameLocator("iframe");
    await frame.getByRole("button", { name: "Continue with passkey" }).click();
    await frame.getByRole("heading", { name: "All done" }).waitFor();
    await v.page.waitForFunction(() => said.some((m) => typeof m.data === "string" && m.data.includes("CLOSE_POPUP")));
    const said = await v.page.evaluate(() => said);
    assert(said.every((m) => m.origin === framed));
    assert(said.some((m) => typeof m.data === "object" && m.data.height > 200), JSON.stringify(said));
    assert(said.some((m) => m.data === '{"event":"AUTHSIGNAL_READY"}'));
    const closed = JSON.parse(said.map((m) => m.data).find((d) => typeof d === "string" && d.includes("CLOSE_POPUP")));
    const claims = JSON.parse(Buffer.from(closed.token.split(".")[1], "base64url"));
    assert.equal(claims.use, "result");
    clean(v);
    await v.page.close();
  });

  await step("in a frame without permission it is told and another way works", async () => {
    const v = await visitor(browser.context);
    const tracked = await f.track("anna");
    await v.focus();
    await v.page.goto(`${launcher}/launch?src=${encodeURIComponent(tracked.link)}`);
    const frame = v.page.frameLocator("iframe");
    await frame.getByRole("button", { name: "Continue with passkey" }).click();
    await frame.getByRole("alert").filter({ visible: true }).waitFor();
    await frame.getByRole("button", { name: "Recovery code" }).waitFor();
    await v.page.close();
  });

  await step("a page that is not listed cannot frame it", async () => {
    const v = await visitor(browser.context);
    const tracked = await s.track("anna");
    await v.focus();
    await v.page.goto(`${launcher}/launch?allow=1&src=${encodeURIComponent(tracked.link)}`);
    await v.page.waitForTimeout(500);
    assert.equal(await v.page.frameLocator("iframe").getByRole("button", { name: "Continue with passkey" }).count(), 0);
    await v.page.close();
  });

  await step("in a window of its own", async () => {
    const v = await visitor(browser.context);
    const tracked = await f.track("anna", { state: "ALLOW" });
    await v.focus();
    await v.page.goto(`${launcher}/launch?window=1&src=${encodeURIComponent(tracked.link)}`);
    const [popup] = await Promise.all([v.page.waitForEvent("popup"), v.page.locator("#open").click()]);
    await popup.getByRole("link", { name: /^Go back to/ }).click();
    await v.page.waitForFunction(() => said.some((m) => typeof m.data === "string" && m.data.includes("CLOSE_POPUP")));
    await popup.close();
    await v.page.goto(`${launcher}/launch?allow=1&src=${encodeURIComponent(framed + "/challenge?c=x")}`);
    await v.page.waitForFunction(() => said.some((m) => m.data === '{"event":"AUTHSIGNAL_API_ERROR","errorCode":"invalid_token","statusCode":404}'));
    await v.page.close();
  });

  await step("no page complained", async () => clean(anna));
}, browser.close, () => browser.explain(shots));
