// What a screen shows of personal data until somebody asks to see it. This
// protects from a glance over the shoulder; it is no access control.

/** The network part of an address: "203.0.•.•", "2001:db8:•". */
export function maskAddress(ip: string): string {
  if (ip.includes(':')) {
    const groups = ip.split(':').filter((g) => g !== '')
    return `${groups.slice(0, 2).join(':')}:•`
  }
  const parts = ip.split('.')
  return parts.length === 4 ? `${parts[0]}.${parts[1]}.•.•` : '•'
}

/** The first letter and the domain: "m•••@example.com". */
export function maskEmail(email: string): string {
  const at = email.lastIndexOf('@')
  return at <= 0 ? maskText(email) : `${email.slice(0, 1)}•••${email.slice(at)}`
}

/** The last two characters: "•••42". */
export function maskText(text: string): string {
  return text.length <= 4 ? '•••' : `•••${text.slice(-2)}`
}

const masks: Readonly<Record<string, (value: string) => string>> = {
  'user.email': maskEmail,
  'user.phoneNumber': maskText,
  'user.username': maskText,
  'ip.address': maskAddress,
  'device.id': maskText,
}

/** Whether the fact of this name tells who a person is. */
export const isPersonal = (fact: string): boolean => fact in masks

/** A personal fact's value as it may be shown unasked. Other facts stay as they are. */
export const maskFact = (fact: string, value: string): string => masks[fact]?.(value) ?? value
