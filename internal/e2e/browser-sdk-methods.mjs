// The unmodified browser SDK and every method beside the passkey of a token: signing
// in without a token, security keys, authenticator apps, codes by e-mail.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import { clean, openBrowser, openDevice } from "./browser.mjs";
import { newestCode, totp, wrong } from "./node-sdk-mail.mjs";
import { parameters, run, step } from "./steps.mjs";

const { url, secret, tenant, page: origin, chromium, mails } = parameters;

// backend speaks to the server API with the secret.
async function backend(method, path, body) {
  const answer = await fetch(`${url}/v1${path}`, {
    method, body: body && JSON.stringify(body),
    headers: { Authorization: `Basic ${Buffer.from(`${secret}:`).toString("base64")}`, "Content-Type": "application/json" },
  });
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  return JSON.parse(text);
}

const track = (user, action, attributes = {}) => backend("POST", `/users/${user}/actions/${action}`, attributes);
const payment = (user) => track(user, "payment", { custom: { amount: 250, currency: "EUR" } });
const validate = (token) => backend("POST", "/validate", { token });

// sdk calls a method of the SDK on the page. What it throws comes back as error.
const sdk = (device, method, argument) => device.page.evaluate(async ([baseUrl, tenantId, method, argument]) => {
  globalThis.client ??= new globalThis.authsignal.Authsignal({ baseUrl, tenantId });
  try {
    const names = method.split(".");
    const of = names.slice(0, -1).reduce((at, name) => at[name], globalThis.client);
    return await of[names.at(-1)](argument) ?? {};
  } catch (error) {
    return { thrown: `${error.name}: ${error.message}`, code: error.code };
  }
}, [`${url}/v1`, tenant, method, argument]);

// data is what a call returned; it must not have failed.
async function data(device, method, argument) {
  const result = await sdk(device, method, argument);
  assert(result.data, `${method}: ${JSON.stringify(result)}`);
  return result.data;
}

// proven checks on the backend that a token is of a proven action.
async function proven(token, userId, tracked, verificationMethod) {
  const valid = await validate(token);
  assert.deepEqual([valid.isValid, valid.userId, valid.idempotencyKey, valid.verificationMethod],
    [true, userId, tracked.idempotencyKey, verificationMethod]);
}

const browser = await openBrowser(chromium);
run(async () => {
  const laptop = await openDevice(browser.context);
  await laptop.page.goto(origin);
  const ann = `ann-${crypto.randomUUID()}`;

  await step("signIn without a token finds out who it is", async () => {
    const { token } = await track(ann, "add-passkey", { username: "ann" });
    await data(laptop, "passkey.signUp", { token, username: "ann", displayName: "Ann" });
    const result = await data(laptop, "passkey.signIn", { action: "sign-in" });
    assert.deepEqual([result.isVerified, result.userId], [true, ann]);
    const valid = await validate(result.token);
    assert.deepEqual([valid.isValid, valid.userId, valid.action, valid.verificationMethod], [true, ann, "sign-in", "PASSKEY"]);
    const actions = await backend("GET", `/users/${ann}/actions?codes=sign-in`);
    assert.equal(actions.length, 1);
    assert.match(actions[0].userAgent, /Chrom/);
    const devices = await backend("GET", `/users/${ann}/devices`);
    assert.equal(devices.length, 1, "the SDK's anonymousId is a device of the person");
  });

  await step("signIn with cookies, and with autofill, is a sign-in as well", async () => {
    const cookies = await data(laptop, "passkey.signIn", { action: "sign-in", useCookies: true });
    assert.equal(cookies.userId, ann);
    const without = await data(laptop, "passkey.signIn", { useCookies: true });
    assert.equal((await validate(without.token)).action, "sign-in");
    await laptop.page.evaluate(() => {
      document.body.insertAdjacentHTML("beforeend", `<label>E-mail <input autocomplete="username webauthn"></label>`);
    });
    const autofill = await data(laptop, "passkey.signIn", { autofill: true });
    assert.deepEqual([autofill.isVerified, autofill.userId], [true, ann]);
  });

  await step("a passkey that was removed is unknown, and signs nobody in", async () => {
    const bob = `bob-${crypto.randomUUID()}`;
    const other = await openDevice(browser.context);
    await other.page.goto(origin);
    await other.focus();
    const { token } = await track(bob, "add-passkey", { username: "bob" });
    const { userAuthenticator } = await data(other, "passkey.signUp", { token, username: "bob" });
    await backend("DELETE", `/users/${bob}/authenticators/${userAuthenticator.userAuthenticatorId}`);
    const result = await sdk(other, "passkey.signIn", { action: "sign-in" });
    assert.equal(result.errorCode, "unknown_credential", JSON.stringify(result));
    await other.page.close();
    await laptop.focus();
  });

  await step("a security key is added and proves an action", async () => {
    const eve = `eve-${crypto.randomUUID()}`;
    const key = await openDevice(browser.context, { transport: "usb", hasResidentKey: false });
    await key.page.goto(origin);
    await key.focus();
    await sdk(key, "setToken", (await track(eve, "add-passkey")).token);
    assert((await data(key, "securityKey.enroll")).registrationResponse);
    const tracked = await payment(eve);
    assert.equal(tracked.defaultVerificationMethod, "SECURITY_KEY");
    await sdk(key, "setToken", tracked.token);
    const result = await data(key, "securityKey.verify");
    assert.equal(result.isVerified, true);
    await proven(result.token, eve, tracked, "SECURITY_KEY");
    const [listed] = await backend("GET", `/users/${eve}/authenticators`);
    assert.deepEqual([listed.verificationMethod, listed.webauthnCredential.name], ["SECURITY_KEY", "Security key"]);
    clean(key);
    await key.page.close();
    await laptop.focus();
  });

  await step("an authenticator app is added and proves an action, each code once", async () => {
    const fay = `fay-${crypto.randomUUID()}`;
    await sdk(laptop, "setToken", (await track(fay, "add-passkey")).token);
    const { uri, secret: shared } = await data(laptop, "totp.enroll");
    assert(uri.startsWith("otpauth://totp/"), uri);
    const first = totp(shared);
    const mistyped = await data(laptop, "totp.verify", { code: wrong(first) });
    assert.deepEqual([mistyped.isVerified, mistyped.failureReason], [false, "CODE_INVALID_OR_EXPIRED"]);
    assert.equal((await data(laptop, "totp.verify", { code: first })).isVerified, true);
    const tracked = await payment(fay);
    assert.equal(tracked.state, "CHALLENGE_REQUIRED");
    await sdk(laptop, "setToken", tracked.token);
    assert.equal((await data(laptop, "totp.verify", { code: first })).isVerified, false, "it has added the app");
    const result = await data(laptop, "totp.verify", { code: totp(shared, 1) });
    assert.equal(result.isVerified, true);
    await proven(result.token, fay, tracked, "AUTHENTICATOR_APP");
  });

  await step("an address is added and its codes prove an action", async () => {
    const gus = `gus-${crypto.randomUUID()}`;
    const email = `${gus}@example.com`;
    await sdk(laptop, "setToken", (await track(gus, "add-passkey")).token);
    assert.equal((await data(laptop, "email.enroll", { email })).userId, gus);
    assert((await data(laptop, "email.challenge")).challengeId);
    assert.equal((await data(laptop, "email.verify", { code: await newestCode(mails, email) })).isVerified, true);
    const [listed] = await backend("GET", `/users/${gus}/authenticators`);
    assert.deepEqual([listed.verificationMethod, listed.email], ["EMAIL_OTP", email]);
    const tracked = await payment(gus);
    await sdk(laptop, "setToken", tracked.token);
    await data(laptop, "email.challenge");
    const code = await newestCode(mails, email);
    const mistyped = await data(laptop, "email.verify", { code: wrong(code) });
    assert.deepEqual([mistyped.isVerified, mistyped.failureReason], [false, "CODE_INVALID_OR_EXPIRED"]);
    const result = await data(laptop, "email.verify", { code });
    assert.equal(result.isVerified, true);
    await proven(result.token, gus, tracked, "EMAIL_OTP");
  });

  await step("five wrong codes fail the action", async () => {
    const hal = `hal-${crypto.randomUUID()}`;
    await sdk(laptop, "setToken", (await track(hal, "add-passkey")).token);
    const { secret: shared } = await data(laptop, "totp.enroll");
    await data(laptop, "totp.verify", { code: totp(shared) });
    const tracked = await payment(hal);
    await sdk(laptop, "setToken", tracked.token);
    for (let i = 0; i < 4; i++) assert.equal((await data(laptop, "totp.verify", { code: wrong(totp(shared)) })).failureReason, "CODE_INVALID_OR_EXPIRED");
    assert.equal((await data(laptop, "totp.verify", { code: wrong(totp(shared)) })).failureReason, "MAX_ATTEMPTS_EXCEEDED");
    assert.equal((await validate(tracked.token)).state, "CHALLENGE_FAILED");
  });

  await step("what is not offered says so", async () => {
    const ida = `ida-${crypto.randomUUID()}`;
    await sdk(laptop, "setToken", (await track(ida, "add-passkey")).token);
    for (const [method, argument] of [["sms.enroll", { phoneNumber: "+41790000000" }], ["sms.challenge"], ["emailML.enroll", { email: "x@example.com" }], ["whatsapp.challenge"]]) {
      const result = await sdk(laptop, method, argument);
      assert.match(result.errorDescription ?? "", /is not an enabled verification method/, `${method}: ${JSON.stringify(result)}`);
    }
    laptop.expected(/Failed to load resource/);
  });

  await step("the page has nothing to complain about", async () => clean(laptop));
}, browser.close, browser.explain);
