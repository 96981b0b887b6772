// The unmodified server SDK and the codes that a backend has sent, the methods that
// it takes over, and the calls that no SDK has a method for.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import { Authsignal, AuthsignalError, UserActionState, VerificationMethod } from "@authsignal/node";
import { newestCode, totp, wrong } from "./node-sdk-mail.mjs";
import { newPasskey } from "./passkey.mjs";
import { parameters, run, step } from "./steps.mjs";

const { url, secret, rpId, mails } = parameters;
const sdk = new Authsignal({ apiSecretKey: secret, apiUrl: `${url}/v1` });
const person = (name) => `${name}-${crypto.randomUUID()}`;

// refused runs a call that must fail with an error of the wire protocol.
async function refused(call, status, code) {
  const error = await call().then(() => assert.fail("the call was answered"), (error) => error);
  assert(error instanceof AuthsignalError, String(error));
  assert.deepEqual([error.statusCode, error.errorCode], [status, code], error.message);
}

// call speaks to the server API, or with a token to the client API.
async function call(method, path, body, token) {
  const authorization = token ? `Bearer ${token}` : `Basic ${Buffer.from(`${secret}:`).toString("base64")}`;
  const answer = await fetch(`${url}/v1${path}`, {
    method, body: body && JSON.stringify(body), headers: { Authorization: authorization, "Content-Type": "application/json" },
  });
  return { status: answer.status, body: await answer.json() };
}

run(async () => {
  await step("challenge, verify and claim sign somebody in by e-mail", async () => {
    const email = `${person("ann")}@example.com`;
    const { challengeId, idempotencyKey, expiresAt } = await sdk.challenge({ verificationMethod: VerificationMethod.EMAIL_OTP, action: "sign-in", email });
    assert(expiresAt * 1000 > Date.now() && expiresAt * 1000 <= Date.now() + 600_000, "seconds since 1970");
    const found = await sdk.getChallenge({ challengeId });
    assert.deepEqual([found.challengeId, found.email, found.action, found.verificationMethod], [challengeId, email, "sign-in", "EMAIL_OTP"]);
    const code = await newestCode(mails, email);
    const userId = person("ann");
    await refused(() => sdk.claimChallenge({ challengeId, userId }), 400, "invalid_request");
    assert.deepEqual(await sdk.verify({ challengeId, verificationCode: wrong(code) }), { isVerified: false, failureReason: "CODE_INVALID_OR_EXPIRED" });
    assert.deepEqual(await sdk.verify({ challengeId, verificationCode: code }), { isVerified: true, email, verificationMethod: "EMAIL_OTP" });
    const { token, verificationMethod } = await sdk.claimChallenge({ challengeId, userId });
    assert.equal(verificationMethod, "EMAIL_OTP");
    const valid = await sdk.validateChallenge({ token, userId, action: "sign-in" });
    assert.deepEqual([valid.isValid, valid.idempotencyKey, valid.verificationMethod], [true, idempotencyKey, "EMAIL_OTP"]);
    await refused(() => sdk.claimChallenge({ challengeId, userId }), 400, "invalid_request");
    const user = await sdk.getUser({ userId });
    assert.deepEqual([user.email, user.emailVerified], [email, true]);
  });

  await step("a code is sent again", async () => {
    const email = `${person("ben")}@example.com`;
    const first = await sdk.challenge({ verificationMethod: VerificationMethod.EMAIL_OTP, action: "sign-in", email });
    await newestCode(mails, email);
    const again = await sdk.challenge({ verificationMethod: VerificationMethod.EMAIL_OTP, action: "sign-in", challengeId: first.challengeId });
    assert.notEqual(again.challengeId, first.challengeId);
    assert.equal(again.idempotencyKey, first.idempotencyKey);
    assert.equal((await sdk.verify({ challengeId: again.challengeId, verificationCode: await newestCode(mails, email) })).isVerified, true);
    await refused(() => sdk.challenge({ verificationMethod: VerificationMethod.SMS, action: "sign-in", phoneNumber: "+41790000000" }), 400, "invalid_request");
    assert.deepEqual(await sdk.getChallenge({ challengeId: "none" }), {});
  });

  await step("enrollVerifiedAuthenticator takes over an app and an address", async () => {
    const userId = person("cat");
    const otpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    const app = await sdk.enrollVerifiedAuthenticator({
      userId, attributes: { verificationMethod: VerificationMethod.AUTHENTICATOR_APP, otpUri: `otpauth://totp/Shop:cat?secret=${otpSecret}&issuer=Shop` },
    });
    assert.equal(app.authenticator.verificationMethod, "AUTHENTICATOR_APP");
    const email = `${userId}@example.com`;
    const address = await sdk.enrollVerifiedAuthenticator({ userId, attributes: { verificationMethod: VerificationMethod.EMAIL_OTP, email, isDefault: true } });
    assert.deepEqual([address.authenticator.email, address.authenticator.isDefault], [email, true]);
    assert.deepEqual((await sdk.getAuthenticators({ userId })).map((one) => one.verificationMethod), ["AUTHENTICATOR_APP", "EMAIL_OTP"]);
    const tracked = await sdk.track({ userId, action: "payment", attributes: { custom: { amount: 250 } } });
    assert.equal(tracked.state, UserActionState.CHALLENGE_REQUIRED);
    assert.equal(tracked.defaultVerificationMethod, "EMAIL_OTP");
    const sent = await call("POST", "/client/challenge/email-otp", undefined, tracked.token);
    assert.equal(sent.status, 200, JSON.stringify(sent.body));
    const found = await sdk.getChallenge({ userId, action: "payment", verificationMethod: VerificationMethod.EMAIL_OTP });
    assert.equal(found.challengeId, sent.body.challengeId);
    const proof = await call("POST", "/client/verify/totp", { verificationCode: totp(otpSecret) }, tracked.token);
    assert.equal(proof.body.isVerified, true, JSON.stringify(proof.body));
    const valid = await sdk.validateChallenge({ token: proof.body.accessToken });
    assert.deepEqual([valid.isValid, valid.verificationMethod], [true, "AUTHENTICATOR_APP"]);
  });

  await step("an import takes over passkeys and names what failed", async () => {
    const users = Array.from({ length: 300 }, (_, i) => person(`dan ${i}`));
    const keys = users.map(() => newPasskey(rpId));
    const item = (userId, passkey) => ({ userId, verificationMethod: "PASSKEY", credentialId: passkey.id, credentialPublicKey: passkey.publicKey });
    const authenticators = [...users.map((userId, i) => item(userId, keys[i])), item(person("eve"), keys[0])];
    const start = performance.now();
    const { status, body } = await call("POST", "/users/authenticators", { authenticators });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual([body.total, body.succeeded, body.failed], [301, 300, 1]);
    assert.deepEqual([body.failures[0].errorCode, body.failures[0].credentialId], ["conflict", keys[0].id]);
    assert(performance.now() - start < 10_000, "they share transactions");
    const tracked = await sdk.track({ userId: users[7], action: "payment", attributes: { custom: { amount: 250 } } });
    assert.equal(tracked.state, UserActionState.CHALLENGE_REQUIRED);
    const options = await call("POST", "/client/user-authenticators/passkey/authentication-options", {}, tracked.token);
    const proof = await call("POST", "/client/verify/passkey", {
      challengeId: options.body.challengeId, authenticationCredential: keys[7].answer(options.body.options, url), deviceId: "laptop",
    }, tracked.token);
    assert.equal(proof.body.isVerified, true, JSON.stringify(proof.body));
    const path = `/users/${encodeURIComponent(users[7])}/actions/payment/${tracked.idempotencyKey}/receipt`;
    const receipt = await call("GET", path);
    assert.equal(receipt.status, 200, JSON.stringify(receipt.body));
    const digest = crypto.createHash("sha256").update(Buffer.from(receipt.body.document, "base64url")).digest("base64url");
    assert.equal((await call("POST", "/validate", { token: proof.body.accessToken })).body.digest, digest);
  });

  await step("devices are listed and remembered", async () => {
    const userId = person("fay");
    const deviceId = crypto.randomUUID();
    await sdk.track({ userId, action: "payment", attributes: { deviceId } });
    const path = `/users/${userId}/devices`;
    assert.equal((await call("GET", path)).body[0].deviceId, deviceId);
    const rememberedUntil = new Date(Date.now() + 86_400_000).toISOString();
    assert.equal((await call("PATCH", `${path}/${deviceId}`, { rememberedUntil })).body.rememberedUntil, rememberedUntil);
    assert.equal((await call("POST", `${path}/${deviceId}/invalidate`)).status, 200);
    assert.deepEqual((await call("GET", path)).body, []);
  });
});
