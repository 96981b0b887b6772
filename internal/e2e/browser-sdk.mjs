// The unmodified browser SDK on a page of another origin: it makes a passkey,
// steps up with it, and the backend validates from server to server.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import { clean, openBrowser, openDevice } from "./browser.mjs";
import { parameters, run, step } from "./steps.mjs";

const { url, secret, tenant, page: origin, stranger, chromium } = parameters;
const userId = `jane ${crypto.randomUUID()}`;

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

const user = encodeURIComponent(userId);
const track = (action, attributes = {}) => backend("POST", `/users/${user}/actions/${action}`, attributes);
const validate = (token) => backend("POST", "/validate", { token });

// sdk calls a method of the SDK on the page. What it throws comes back as error.
const sdk = (device, method, argument) => device.page.evaluate(async ([baseUrl, tenantId, method, argument]) => {
  globalThis.client ??= new globalThis.authsignal.Authsignal({ baseUrl, tenantId });
  try {
    return await method.split(".").reduce((at, name) => (typeof at[name] === "function" ? at[name].bind(at) : at[name]), globalThis.client)(argument);
  } catch (error) {
    return { thrown: `${error.name}: ${error.message}`, code: error.code };
  }
}, [`${url}/v1`, tenant, method, argument]);

const browser = await openBrowser(chromium);
run(async () => {
  const laptop = await openDevice(browser.context);
  await laptop.page.goto(origin);

  let passkey;
  await step("signUp makes a passkey with the token of an allowed action", async () => {
    const tracked = await track("add-passkey", { email: "jane@example.com", username: "jane" });
    assert.equal(tracked.state, "ALLOW");
    const result = await sdk(laptop, "passkey.signUp", { token: tracked.token, username: "jane", displayName: "Jane" });
    assert(result.data, JSON.stringify(result));
    assert.equal(result.data.userAuthenticator.verificationMethod, "PASSKEY");
    assert.equal(result.data.userAuthenticator.webauthnCredential.credentialId, result.data.registrationResponse.id);
    passkey = result.data.userAuthenticator.userAuthenticatorId;
    const [stored] = await laptop.passkeys();
    assert.equal(Buffer.from(stored.credentialId, "base64").toString("base64url"), result.data.registrationResponse.id);
    assert.equal(stored.rpId, "localhost");
    const [listed] = await backend("GET", `/users/${user}/authenticators`);
    assert.equal(listed.userAuthenticatorId, passkey);
    assert.match(listed.webauthnCredential.parsedUserAgent.browser.name, /Chrom/);
  });

  let tracked;
  await step("signIn steps up and validate says so, server to server", async () => {
    tracked = await track("payment", { custom: { amount: 250, currency: "EUR" } });
    assert.equal(tracked.state, "CHALLENGE_REQUIRED");
    assert.equal((await validate(tracked.token)).isValid, false);
    const result = await sdk(laptop, "passkey.signIn", { token: tracked.token });
    assert.equal(result.data?.isVerified, true, JSON.stringify(result));
    assert.equal(result.data.userId, userId);
    assert.equal(result.data.userAuthenticatorId, passkey);
    const valid = await validate(result.data.token);
    assert.deepEqual([valid.isValid, valid.state, valid.action, valid.actionCode, valid.userId, valid.idempotencyKey],
      [true, "CHALLENGE_SUCCEEDED", "payment", "payment", userId, tracked.idempotencyKey]);
  });

  await step("a finished action can't be proven again", async () => {
    const result = await sdk(laptop, "passkey.signIn", { token: tracked.token });
    assert(result.errorCode, JSON.stringify(result));
    assert.equal((await validate(tracked.token)).isValid, true);
  });

  await step("the token of a plain action adds no second passkey", async () => {
    const plain = await track("payment", { custom: { amount: 5 } });
    assert.equal(plain.state, "ALLOW");
    const result = await sdk(laptop, "passkey.signUp", { token: plain.token });
    assert(result.errorCode && result.errorDescription, JSON.stringify(result));
    assert.equal((await laptop.passkeys()).length, 1);
    laptop.expected(/Failed to load resource/);
  });

  await step("a second device is added after a proof of the first", async () => {
    const add = await track("add-passkey", { scope: "add:authenticators" });
    assert.equal(add.state, "CHALLENGE_REQUIRED");
    const early = await sdk(laptop, "passkey.signUp", { token: add.token });
    assert(early.errorCode, `before the proof: ${JSON.stringify(early)}`);
    laptop.expected(/Failed to load resource/);
    const proof = await sdk(laptop, "passkey.signIn", { token: add.token });
    assert.equal(proof.data?.isVerified, true, JSON.stringify(proof));
    const second = await openDevice(browser.context);
    await second.page.goto(origin);
    await second.focus();
    const result = await sdk(second, "passkey.signUp", { token: proof.data.token });
    assert(result.data, JSON.stringify(result));
    assert.equal((await backend("GET", `/users/${user}/authenticators`)).length, 2);
    clean(second);
    await second.page.close();
    await laptop.focus();
  });

  await step("a passkey of somebody else does not answer", async () => {
    const other = await openDevice(browser.context);
    await other.page.goto(origin);
    await other.focus();
    const challenged = await track("payment", { custom: { amount: 300 } });
    const result = await sdk(other, "passkey.signIn", { token: challenged.token });
    assert(result.thrown || result.errorCode, JSON.stringify(result));
    assert.equal((await validate(challenged.token)).state, "CHALLENGE_REQUIRED");
    await other.page.close();
    await laptop.focus();
  });

  await step("bad tokens come back as the SDK's error codes", async () => {
    for (const token of ["garbage", `${tracked.token}x`]) {
      const result = await sdk(laptop, "passkey.signIn", { token });
      assert.equal(result.errorCode, "invalid_token", JSON.stringify(result));
    }
    laptop.expected(/Failed to load resource/);
  });

  await step("a page that is not among the allowed origins gets nothing", async () => {
    const challenged = await track("payment", { custom: { amount: 300 } });
    const outside = await openDevice(browser.context);
    await outside.page.goto(stranger);
    await outside.focus();
    const result = await sdk(outside, "passkey.signIn", { token: challenged.token });
    assert(result.thrown || result.errorCode, JSON.stringify(result));
    assert.equal((await validate(challenged.token)).state, "CHALLENGE_REQUIRED");
    await outside.page.close();
    await laptop.focus();
  });

  await step("the page has nothing to complain about", async () => clean(laptop));
}, browser.close, browser.explain);
