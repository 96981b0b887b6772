// WebAuthn's JSON forms are written and read by hand: older browsers have no
// parse…FromJSON, and some password managers break toJSON.

const decode = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const encode = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const descriptors = (list) => list.map((d) => (
  { id: decode(d.id), type: d.type, ...(d.transports.length ? { transports: d.transports } : {}) }));

const credential = (c, response) => ({
  id: c.id, rawId: encode(c.rawId), type: c.type, clientExtensionResults: c.getClientExtensionResults(),
  ...(c.authenticatorAttachment ? { authenticatorAttachment: c.authenticatorAttachment } : {}),
  response: { clientDataJSON: encode(c.response.clientDataJSON), ...response },
});

export const supported = () => Boolean(window.PublicKeyCredential && navigator.credentials);

export async function get(options, signal) {
  const c = await navigator.credentials.get({ signal, publicKey: {
    ...options, challenge: decode(options.challenge), allowCredentials: descriptors(options.allowCredentials),
  } });
  const { authenticatorData, signature, userHandle } = c.response;
  return credential(c, {
    authenticatorData: encode(authenticatorData), signature: encode(signature),
    ...(userHandle ? { userHandle: encode(userHandle) } : {}),
  });
}

export async function create(options, signal) {
  const c = await navigator.credentials.create({ signal, publicKey: {
    ...options, challenge: decode(options.challenge), user: { ...options.user, id: decode(options.user.id) },
    excludeCredentials: descriptors(options.excludeCredentials),
  } });
  return credential(c, {
    attestationObject: encode(c.response.attestationObject), transports: c.response.getTransports?.() ?? [],
  });
}

// Which words fit an error of the browser. It never tells a cancelled dialog from
// a passkey that is not here, or from one that ran out of time: only how long it
// took hints at it.
export function words(error, { creating, first, took, timeout }) {
  switch (error.name) {
    case "NotAllowedError":
      if (took >= timeout * 0.9) return "say.timeout";
      if (creating) return "say.unsaved";
      return first && took < 1000 ? "say.absent" : "say.cancelled";
    case "SecurityError": return "say.address";
    case "NotSupportedError":
    case "ConstraintError": return creating ? "say.unsupported" : "say.other";
    default: return "say.other";
  }
}

// Tells password managers what the server knows. Each signal is of its own age,
// and none of them matters to the person.
export async function signal(name, options) {
  try {
    await PublicKeyCredential[name]?.(options);
  } catch {
    // A manager that does not listen changes nothing here.
  }
}
