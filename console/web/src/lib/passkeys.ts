// Passkey ceremonies with the browser's own JSON forms (WebAuthn Level 3,
// sections 5.1.8 to 5.1.10).

import type { CeremonyOptions } from '../api/types'

type Options = CeremonyOptions['options']

/** Whether this browser, at this address, can use passkeys. */
export const passkeysWork = (): boolean =>
  typeof PublicKeyCredential !== 'undefined' && typeof PublicKeyCredential.parseCreationOptionsFromJSON === 'function'

/** Creates a passkey and returns its JSON. */
export async function createPasskey(options: Options): Promise<Record<string, unknown>> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options as unknown as PublicKeyCredentialCreationOptionsJSON)
  return toJSON(await navigator.credentials.create({ publicKey }))
}

/** Asks for a passkey and returns the signed answer's JSON. */
export async function askPasskey(options: Options): Promise<Record<string, unknown>> {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options as unknown as PublicKeyCredentialRequestOptionsJSON)
  return toJSON(await navigator.credentials.get({ publicKey }))
}

function toJSON(credential: Credential | null): Record<string, unknown> {
  if (!(credential instanceof PublicKeyCredential)) throw new DOMException('No passkey was used.', 'NotAllowedError')
  return credential.toJSON() as unknown as Record<string, unknown>
}

/** What to tell a person when a ceremony fails in the browser; undefined for other errors. */
export function ceremonyMessage(error: unknown): string | undefined {
  if (!(error instanceof DOMException)) return undefined
  switch (error.name) {
    case 'NotAllowedError':
      return 'Your passkey was not used. Try again; if it is on another device, choose that device when your browser asks.'
    case 'InvalidStateError':
      return 'This device already has a passkey for the console. Go to the sign-in page and use it.'
    case 'SecurityError':
      return `Passkeys do not work at this address (${location.host}). Open the console at its public address.`
    case 'AbortError':
      return 'The request was stopped. Try again.'
    case 'NotSupportedError':
      return 'This device cannot keep a passkey that the console accepts. Use your phone or a security key.'
    default:
      return 'Your browser could not use a passkey. Try again, or use another browser.'
  }
}
