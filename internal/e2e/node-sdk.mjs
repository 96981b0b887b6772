// The unmodified server SDK against the running product: every endpoint that a
// backend uses, with the answers that the SDK's own test suite expects.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import net from "node:net";
import { Authsignal, AuthsignalError, UserActionState, VerificationMethod } from "@authsignal/node";
import { newPasskey } from "./passkey.mjs";
import { parameters, run, step } from "./steps.mjs";

const { url, secret, rpId } = parameters;
const sdk = new Authsignal({ apiSecretKey: secret, apiUrl: `${url}/v1` });

const person = (name) => `${name}-${crypto.randomUUID()}`;
const isTime = (text) => assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);

// refused runs a call that must fail with an error of the wire protocol.
async function refused(call, status, code) {
  const error = await call().then(() => assert.fail("the call was answered"), (error) => error);
  assert(error instanceof AuthsignalError, String(error));
  assert.equal(error.errorCode, code, error.message);
  if (status) assert.equal(error.statusCode, status);
  assert(error.errorDescription?.length > 10, "a sentence says what to do");
  return error;
}

// post speaks to the client API as a browser SDK does.
async function post(path, token, body) {
  const answer = await fetch(url + path, {
    method: "POST", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}`, Origin: url },
  });
  return { status: answer.status, body: await answer.json() };
}

// cutting is a proxy that breaks the first connection after the server has
// carried the request out and before the SDK hears of it.
async function cutting() {
  let cut = false;
  const { hostname, port } = new URL(url);
  const proxy = net.createServer((client) => {
    const server = net.connect(Number(port), hostname);
    client.pipe(server);
    server.on("data", (data) => {
      if (cut) return client.write(data);
      cut = true;
      client.resetAndDestroy();
      server.destroy();
    });
    for (const [one, other] of [[client, server], [server, client]]) {
      one.on("close", () => other.destroy());
      one.on("error", () => other.destroy());
    }
  });
  await new Promise((listening) => proxy.listen(0, "127.0.0.1", listening));
  return {
    wasCut: () => cut,
    sdk: new Authsignal({ apiSecretKey: secret, apiUrl: `http://127.0.0.1:${proxy.address().port}/v1` }),
    close: () => proxy.close(),
  };
}

run(async () => {
  await step("track allows a payment and says how to go on", async () => {
    const userId = person("ann");
    const decision = await sdk.track({
      userId, action: "payment",
      attributes: {
        idempotencyKey: "order-1", email: "ann@example.com", deviceId: crypto.randomUUID(), ipAddress: "81.2.69.142",
        userAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
        custom: { amount: 25, currency: "EUR", undeclared: true }, redirectUrl: `${url}/done`, locale: "en",
      },
    });
    assert.equal(decision.idempotencyKey, "order-1");
    assert.equal(decision.state, UserActionState.ALLOW);
    assert.equal(decision.isEnrolled, false);
    assert.equal(decision.token.split(".").length, 3, "the token is a JWT");
    assert(decision.url.startsWith(`${url}/challenge?`), decision.url);
    const claims = JSON.parse(Buffer.from(decision.token.split(".")[1], "base64url"));
    assert.equal(claims.idempotencyKey, "order-1", "mobile SDKs read it from the token");
  });

  await step("track makes a key when there is none", async () => {
    const userId = person("ben");
    const [one, two] = [await sdk.track({ userId, action: "payment" }), await sdk.track({ userId, action: "payment" })];
    assert(one.idempotencyKey && two.idempotencyKey && one.idempotencyKey !== two.idempotencyKey);
    assert.equal((await sdk.queryUserActions({ userId })).length, 2);
  });

  await step("rules block and ask for a review", async () => {
    const userId = person("cat");
    const huge = await sdk.track({ userId, action: "payment", attributes: { custom: { amount: 20000 } } });
    assert.equal(huge.state, UserActionState.BLOCK);
    assert.deepEqual(huge.ruleIds, ["huge", "suspicious", "large"].filter((id) => huge.ruleIds.includes(id)));
    assert(huge.ruleIds.includes("huge"));
    const suspicious = await sdk.track({ userId, action: "payment", attributes: { custom: { amount: 2000 } } });
    assert.equal(suspicious.state, UserActionState.REVIEW_REQUIRED);
  });

  await step("a person without a passkey is never challenged", async () => {
    const decision = await sdk.track({ userId: person("dan"), action: "payment", attributes: { custom: { amount: 250 } } });
    assert.equal(decision.state, UserActionState.ALLOW);
    assert.equal(decision.isEnrolled, false);
  });

  await step("an action can be tracked again, one after another and all at once", async () => {
    const userId = person("eve");
    const track = (amount) => sdk.track({ userId, action: "payment", attributes: { idempotencyKey: "order-1", custom: { amount } } });
    const first = await track(25);
    const again = await track(20000);
    assert.equal(again.state, first.state, "the recorded decision counts");
    const at_once = await Promise.all(Array.from({ length: 20 }, () =>
      sdk.track({ userId, action: "payment", attributes: { idempotencyKey: "order-2", custom: { amount: 2000 } } })));
    assert.deepEqual(new Set(at_once.map((decision) => decision.state)), new Set([UserActionState.REVIEW_REQUIRED]));
    const keys = (await sdk.queryUserActions({ userId })).map((action) => action.idempotencyKey).sort();
    assert.deepEqual(keys, ["order-1", "order-2"]);
  });

  await step("getAction tells the rules and the times", async () => {
    const userId = person("fay");
    await sdk.track({ userId, action: "payment", attributes: { idempotencyKey: "k", custom: { amount: 2000 } } });
    const action = await sdk.getAction({ userId, action: "payment", idempotencyKey: "k" });
    assert.equal(action.state, UserActionState.REVIEW_REQUIRED);
    isTime(action.createdAt);
    isTime(action.stateUpdatedAt);
    assert.notEqual(action.output ?? null, null, "the Go SDK's test needs it");
    assert.equal(action.priorityRuleId, "suspicious");
    assert.equal(action.rules.find((rule) => rule.ruleId === "suspicious").name, "Suspicious payment");
    assert(action.ruleIds.includes("large"), "every match is recorded");
    await refused(() => sdk.getAction({ userId, action: "payment", idempotencyKey: "none" }), 404, "not_found");
  });

  await step("updateAction moves a review and refuses to fake a proof", async () => {
    const userId = person("gus");
    const id = { userId, action: "payment", idempotencyKey: "k" };
    await sdk.track({ userId, action: "payment", attributes: { idempotencyKey: "k", custom: { amount: 2000 } } });
    await refused(() => sdk.updateAction({ ...id, attributes: { state: UserActionState.CHALLENGE_SUCCEEDED } }), 0, "invalid_request");
    await refused(() => sdk.updateAction({ ...id, attributes: { state: "DONE" } }), 400, "invalid_request");
    const moved = await sdk.updateAction({ ...id, attributes: { state: UserActionState.REVIEW_SUCCEEDED } });
    assert.equal(moved.state, UserActionState.REVIEW_SUCCEEDED);
    assert.equal((await sdk.updateAction({ ...id, attributes: { state: UserActionState.REVIEW_SUCCEEDED } })).state, UserActionState.REVIEW_SUCCEEDED);
    await refused(() => sdk.updateAction({ ...id, attributes: { state: UserActionState.REVIEW_FAILED } }), 0, "invalid_request");
    assert.equal((await sdk.getAction(id)).state, UserActionState.REVIEW_SUCCEEDED);
  });

  await step("queryUserActions filters by code, state and time", async () => {
    const userId = person("hal");
    await sdk.track({ userId, action: "payment", attributes: { idempotencyKey: "a", custom: { amount: 2000 } } });
    await sdk.track({ userId, action: "payment", attributes: { idempotencyKey: "b" } });
    await sdk.track({ userId, action: "sign-in", attributes: { idempotencyKey: "c", ipAddress: "81.2.69.142", userAgent: "curl/8" } });
    const keys = async (query) => (await sdk.queryUserActions({ userId, ...query })).map((action) => action.idempotencyKey).sort().join();
    assert.equal(await keys({}), "a,b,c");
    assert.equal(await keys({ actionCodes: ["payment"] }), "a,b");
    assert.equal(await keys({ actionCodes: ["payment", "sign-in"], state: UserActionState.ALLOW }), "b,c");
    assert.equal(await keys({ fromDate: new Date(Date.now() - 60_000).toISOString() }), "a,b,c");
    assert.equal(await keys({ fromDate: new Date(Date.now() + 60_000).toISOString() }), "");
    const [signIn] = await sdk.queryUserActions({ userId, actionCodes: ["sign-in"] });
    assert.equal(signIn.actionCode, "sign-in");
    assert.equal(signIn.ipAddress, "81.2.69.142");
    assert.equal(signIn.countryCode, "GB");
    isTime(signIn.createdAt);
    await refused(() => sdk.queryUserActions({ userId, fromDate: "yesterday" }), 400, "invalid_request");
  });

  await step("users are read, updated, found and deleted", async () => {
    const userId = person("ida");
    const email = `${userId}@example.com`;
    assert.equal((await sdk.getUser({ userId })).isEnrolled, false, "an unknown user is no error");
    await sdk.track({ userId, action: "sign-in", attributes: { email, username: userId } });
    const before = await sdk.getUser({ userId });
    assert.deepEqual([before.email, before.emailVerified, before.phoneNumberVerified, before.username], [email, false, false, userId]);
    const attributes = { phoneNumber: "+491701234567", phoneNumberVerified: true, displayName: "Ida", custom: { tier: "gold", age: 41, vip: true } };
    const updated = await sdk.updateUser({ userId, attributes });
    for (const [name, value] of Object.entries({ ...attributes, email })) assert.deepEqual(updated[name], value, name);
    const after = await sdk.getUser({ userId });
    for (const [name, value] of Object.entries({ ...attributes, email })) assert.deepEqual(after[name], value, name);
    for (const query of [{ email }, { username: userId }, { phoneNumber: "+491701234567" }]) {
      assert((await sdk.queryUsers(query)).users.some((user) => user.userId === userId), JSON.stringify(query));
    }
    const { token } = await sdk.track({ userId, action: "sign-in" });
    assert.equal(await sdk.deleteUser({ userId }), undefined);
    assert.deepEqual((await sdk.queryUsers({ email })).users, []);
    const gone = await sdk.getUser({ userId });
    assert.deepEqual([gone.isEnrolled, gone.email ?? null], [false, null]);
    assert.equal((await sdk.validateChallenge({ token })).isValid, false, "tokens end with the user");
    await sdk.track({ userId, action: "sign-in" });
    assert.equal((await sdk.validateChallenge({ token })).isValid, false, "also when the user comes back");
  });

  await step("queryUsers goes from page to page", async () => {
    const username = person("team");
    const all = Array.from({ length: 5 }, (_, i) => `${username}-${i}`);
    await Promise.all(all.map((userId) => sdk.track({ userId, action: "sign-in", attributes: { username } })));
    const found = [];
    let lastEvaluatedUserId;
    do {
      const page = await sdk.queryUsers({ username, limit: 2, lastEvaluatedUserId });
      assert(page.users.length <= 2);
      found.push(...page.users.map((user) => user.userId));
      lastEvaluatedUserId = page.lastEvaluatedUserId;
    } while (lastEvaluatedUserId);
    assert.deepEqual(found.sort(), all);
  });

  const passkey = newPasskey(rpId);
  const jan = person("jan");
  await step("enrollVerifiedAuthenticator imports a passkey", async () => {
    const { authenticator } = await sdk.enrollVerifiedAuthenticator({
      userId: jan,
      attributes: { verificationMethod: VerificationMethod.PASSKEY, credentialId: passkey.id, credentialPublicKey: passkey.publicKey, name: "Old phone" },
    });
    assert.equal(authenticator.userId, jan);
    assert.equal(authenticator.verificationMethod, "PASSKEY");
    assert.equal(authenticator.webauthnCredential.credentialId, passkey.id);
    isTime(authenticator.createdAt);
    const [listed] = await sdk.getAuthenticators({ userId: jan });
    assert.equal(listed.userAuthenticatorId, authenticator.userAuthenticatorId);
    assert.equal(listed.webauthnCredential.name, "Old phone");
    const user = await sdk.getUser({ userId: jan });
    assert.equal(user.isEnrolled, true);
    assert.deepEqual(user.enrolledVerificationMethods, ["PASSKEY"]);
  });

  await step("enrollVerifiedAuthenticator refuses what is no passkey of one person", async () => {
    const enroll = (attributes) => () => sdk.enrollVerifiedAuthenticator({ userId: person("kim"), attributes });
    const other = newPasskey(rpId);
    await refused(enroll({ verificationMethod: "PASSKEY", credentialId: passkey.id, credentialPublicKey: other.publicKey }), 0, "conflict");
    await refused(enroll({ verificationMethod: "PASSKEY", credentialId: other.id, credentialPublicKey: "AAAA" }), 400, "invalid_request");
    await refused(enroll({ verificationMethod: "PASSKEY", credentialId: "not base64!", credentialPublicKey: other.publicKey }), 400, "invalid_request");
    await refused(enroll({ verificationMethod: "PASSKEY" }), 400, "invalid_request");
    await refused(enroll({ verificationMethod: "SMS", phoneNumber: "+491701234567" }), 400, "invalid_request");
    assert.equal((await sdk.getAuthenticators({ userId: jan })).length, 1);
  });

  const order = { userId: jan, action: "payment", idempotencyKey: "order-250" };
  let challenged;
  await step("a person with a passkey is challenged", async () => {
    challenged = await sdk.track({ userId: jan, action: "payment", attributes: { idempotencyKey: order.idempotencyKey, custom: { amount: 250, currency: "EUR" } } });
    assert.equal(challenged.state, UserActionState.CHALLENGE_REQUIRED);
    assert.equal(challenged.isEnrolled, true);
    assert.deepEqual(challenged.enrolledVerificationMethods, ["PASSKEY"]);
    assert(challenged.allowedVerificationMethods.includes("PASSKEY"));
    assert.equal(challenged.defaultVerificationMethod, "PASSKEY");
  });

  await step("validateChallenge says that an open challenge is not passed", async () => {
    const open = await sdk.validateChallenge({ token: challenged.token });
    assert.deepEqual([open.isValid, open.state, open.action, open.userId, open.idempotencyKey],
      [false, "CHALLENGE_REQUIRED", "payment", jan, order.idempotencyKey]);
  });

  let proof;
  await step("the imported passkey passes the challenge, once", async () => {
    const options = await post("/v1/client/user-authenticators/passkey/authentication-options", challenged.token, {});
    assert.equal(options.status, 200, JSON.stringify(options.body));
    assert(options.body.options.allowCredentials.some((credential) => credential.id === passkey.id));
    assert.equal(options.body.options.userVerification, "required");
    const answer = { challengeId: options.body.challengeId, authenticationCredential: passkey.answer(options.body.options, url), deviceId: crypto.randomUUID() };
    proof = await post("/v1/client/verify/passkey", challenged.token, answer);
    assert.equal(proof.status, 200, JSON.stringify(proof.body));
    assert.equal(proof.body.isVerified, true);
    const again = await post("/v1/client/verify/passkey", challenged.token, answer);
    assert.notEqual(again.body.isVerified, true, "a challenge is answered once");
    assert("error" in again.body);
  });

  await step("validateChallenge is a read and compares user and action", async () => {
    for (const token of [proof.body.accessToken, challenged.token, proof.body.accessToken]) {
      const valid = await sdk.validateChallenge({ token });
      assert.deepEqual([valid.isValid, valid.state, valid.action, valid.userId, valid.idempotencyKey, valid.verificationMethod],
        [true, "CHALLENGE_SUCCEEDED", "payment", jan, order.idempotencyKey, "PASSKEY"]);
    }
    const token = proof.body.accessToken;
    assert.equal((await sdk.validateChallenge({ token, userId: jan, action: "payment" })).isValid, true);
    assert.equal((await sdk.validateChallenge({ token, userId: "somebody-else" })).isValid, false);
    assert.equal((await sdk.validateChallenge({ token, action: "sign-in" })).isValid, false);
    assert.equal((await sdk.validateChallenge({ token: "garbage" })).isValid, false, "no error, as the SDK's callers expect");
    const [head, body, signature] = token.split(".");
    assert.equal((await sdk.validateChallenge({ token: [head, body, signature.split("").reverse().join("")].join(".") })).isValid, false);
    const action = await sdk.getAction(order);
    assert.equal(action.verificationMethod, "PASSKEY");
    const again = await sdk.track({ userId: jan, action: "payment", attributes: { idempotencyKey: order.idempotencyKey } });
    assert.equal(again.state, UserActionState.CHALLENGE_SUCCEEDED, "tracking again tells the current state");
  });

  await step("a passkey that has proven itself is known to the rules and lists when", async () => {
    const [listed] = await sdk.getAuthenticators({ userId: jan });
    isTime(listed.lastVerifiedAt);
  });

  await step("deleteAuthenticator ends a passkey", async () => {
    const [listed] = await sdk.getAuthenticators({ userId: jan });
    await refused(() => sdk.deleteAuthenticator({ userId: person("leo"), userAuthenticatorId: listed.userAuthenticatorId }), 404, "not_found");
    assert.equal(await sdk.deleteAuthenticator({ userId: jan, userAuthenticatorId: listed.userAuthenticatorId }), undefined);
    assert.deepEqual(await sdk.getAuthenticators({ userId: jan }), []);
    assert.equal((await sdk.getUser({ userId: jan })).isEnrolled, false);
    await refused(() => sdk.deleteAuthenticator({ userId: jan, userAuthenticatorId: listed.userAuthenticatorId }), 404, "not_found");
  });

  await step("user ids go through as the SDK writes them, unescaped", async () => {
    const odd = ["jane doe@example.com", "a+b", "jané", "用户", "a:b|c", "it's", "auth0|5f7c8ec7c33c6c004bbafe82", "x=y;z,(1)~$*!", "UPPER.lower_-"];
    for (const name of odd) {
      const userId = `${name} ${crypto.randomUUID()}`;
      const decision = await sdk.track({ userId, action: "payment", attributes: { idempotencyKey: "k:1 +ü", email: "odd@example.com" } });
      assert.equal((await sdk.validateChallenge({ token: decision.token })).userId, userId);
      assert.equal((await sdk.getAction({ userId, action: "payment", idempotencyKey: "k:1 +ü" })).state, "ALLOW", userId);
      assert.equal((await sdk.queryUserActions({ userId })).length, 1, userId);
      assert.equal((await sdk.getUser({ userId })).email, "odd@example.com", userId);
    }
    const slash = `a/b ${crypto.randomUUID()}`;
    const { token } = await sdk.track({ userId: encodeURIComponent(slash), action: "payment" });
    assert.equal((await sdk.validateChallenge({ token })).userId, slash, "an escaped slash belongs to the id");
  });

  await step("a wrong secret gets the sentence that the SDKs' tests expect", async () => {
    const text = "The request is unauthorized. Check that your API key and region base URL are correctly configured.";
    for (const apiSecretKey of ["wrong", "", `${secret}x`, parameters.managementSecret]) {
      const stranger = new Authsignal({ apiSecretKey, apiUrl: `${url}/v1`, retries: 0 });
      const userId = person("mia");
      for (const call of [
        () => stranger.getUser({ userId }), () => stranger.track({ userId, action: "payment" }), () => stranger.validateChallenge({ token: "x" }),
        () => stranger.queryUsers({ email: "x@example.com" }), () => stranger.deleteUser({ userId }), () => stranger.getAuthenticators({ userId }),
      ]) {
        const error = await refused(call, 401, "unauthorized");
        assert.equal(error.errorDescription, text);
      }
      assert.deepEqual(await sdk.queryUserActions({ userId }), [], "nothing was done");
    }
  });

  await step("bad input is refused with a sentence and leaves nothing", async () => {
    const userId = person("ned");
    const track = (action, attributes) => () => sdk.track({ userId, action, attributes });
    await refused(track("not a code!"), 400, "invalid_request");
    await refused(track("x".repeat(65)), 400, "invalid_request");
    await refused(track("payment", { custom: { amount: { nested: 1 } } }), 400, "invalid_request");
    await refused(track("payment", { custom: "text" }), 400, "invalid_request");
    await refused(track("payment", { email: 7 }), 400, "invalid_request");
    await refused(track("payment", { email: "x".repeat(10_000) }), 400, "invalid_request");
    await refused(track("payment", { idempotencyKey: "x".repeat(1000) }), 400, "invalid_request");
    await refused(track("payment", { idempotencyKey: "a\u0000b" }), 400, "invalid_request");
    await refused(track("payment", { redirectUrl: "https://evil.example/" }), 400, "invalid_request");
    await refused(track("payment", { redirectUrl: "javascript:alert(1)" }), 400, "invalid_request");
    await refused(() => sdk.track({ userId: "x".repeat(1000), action: "payment" }), 400, "invalid_request");
    await refused(() => sdk.updateUser({ userId, attributes: { emailVerified: "yes" } }), 400, "invalid_request");
    assert.deepEqual(await sdk.queryUserActions({ userId }), []);
  });

  await step("a lost answer is asked for again and nothing happens twice", async () => {
    const userId = person("oda");
    const tracking = await cutting();
    const decision = await tracking.sdk.track({ userId, action: "payment", attributes: { idempotencyKey: "k", custom: { amount: 2000 } } });
    tracking.close();
    assert(tracking.wasCut(), "the first answer was lost");
    assert.equal(decision.state, UserActionState.REVIEW_REQUIRED);
    assert.equal((await sdk.queryUserActions({ userId })).length, 1);

    const validating = await cutting();
    const valid = await validating.sdk.validateChallenge({ token: decision.token });
    validating.close();
    assert(validating.wasCut());
    assert.deepEqual([valid.userId, valid.state], [userId, UserActionState.REVIEW_REQUIRED]);

    const deleting = await cutting();
    await deleting.sdk.deleteUser({ userId });
    deleting.close();
    assert(deleting.wasCut());
  });
});
