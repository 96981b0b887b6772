// A passkey in software: what a backend imports and what a device answers with.

import crypto from "node:crypto";

const flags = { userPresent: 0x01, userVerified: 0x04, backupEligible: 0x08, backupState: 0x10 };

// newPasskey makes a P-256 key as a synced passkey has it.
export function newPasskey(rpId) {
  const { privateKey, publicKey } = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { x, y } = publicKey.export({ format: "jwk" });
  // COSE_Key (RFC 9053, section 7.1.1): kty EC2, alg ES256, crv P-256, x, y.
  const cose = Buffer.concat([
    Buffer.from([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]), Buffer.from(x, "base64url"),
    Buffer.from([0x22, 0x58, 0x20]), Buffer.from(y, "base64url"),
  ]);
  const id = crypto.randomBytes(32).toString("base64url");
  return {
    id,
    publicKey: cose.toString("base64url"),
    // answer signs request options (WebAuthn Level 3, section 6.3.3).
    answer(options, origin, userHandle) {
      const authenticatorData = Buffer.concat([
        crypto.createHash("sha256").update(rpId).digest(),
        Buffer.from([flags.userPresent | flags.userVerified | flags.backupEligible | flags.backupState]),
        Buffer.alloc(4), // synced passkeys do not count
      ]);
      const clientData = Buffer.from(JSON.stringify({ type: "webauthn.get", challenge: options.challenge, origin, crossOrigin: false }));
      const signed = Buffer.concat([authenticatorData, crypto.createHash("sha256").update(clientData).digest()]);
      return {
        id, rawId: id, type: "public-key", authenticatorAttachment: "platform", clientExtensionResults: {},
        response: {
          authenticatorData: authenticatorData.toString("base64url"),
          clientDataJSON: clientData.toString("base64url"),
          signature: crypto.sign("sha256", signed, privateKey).toString("base64url"),
          ...(userHandle === undefined ? {} : { userHandle }),
        },
      };
    },
  };
}
