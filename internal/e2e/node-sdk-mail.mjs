// What the SDK tests read out of mails, and what an authenticator app shows.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";

// newestCode waits for a mail to an address, and returns the code in it. The server
// writes mails into the folder as files whose names sort by age (SALLYPORT_MAIL=dir:).
// Codes that were read before do not count.
const read = new Set();
export async function newestCode(folder, to) {
  for (const deadline = Date.now() + 5000; Date.now() < deadline; await new Promise((later) => setTimeout(later, 20))) {
    for (const name of fs.readdirSync(folder).sort().reverse()) {
      const text = fs.readFileSync(path.join(folder, name), "utf8");
      const code = /^\s*(\d{3}\s?\d{3})\s*$/m.exec(text)?.[1] ?? /\b(\d{6})\b/.exec(text.split(/\r?\n\r?\n/).slice(1).join("\n"))?.[1];
      if (read.has(name) || !text.includes(to) || !code) continue;
      read.add(name);
      return code.replace(/\s/, "");
    }
  }
  return assert.fail(`no mail with a code to ${to}`);
}

// wrong is a code of six digits that is not this one.
export const wrong = (code) => (code === "123456" ? "123457" : "123456");

// totp is what an app shows so many steps of 30 seconds from now (RFC 6238).
export function totp(secret, steps = 0) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = crypto.createHmac("sha1", key).update(counter).digest();
  const number = mac.readUInt32BE(mac.at(-1) & 0xf) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}
