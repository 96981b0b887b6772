// Ids of rules: [a-z0-9-], at most 64 characters, unique in the set.

const maxLength = 64

/** An id made of a name: "New payee, large amount" becomes "new-payee-large-amount". "" when nothing is left. */
export function slug(name: string): string {
  return name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, maxLength)
    .replace(/^-+|-+$/g, '')
}

/** wanted, or wanted with the first number that makes it free. */
export function freeId(wanted: string, taken: readonly string[]): string {
  if (!taken.includes(wanted)) return wanted
  for (let n = 2; ; n++) {
    const suffix = `-${n}`
    const id = wanted.slice(0, maxLength - suffix.length) + suffix
    if (!taken.includes(id)) return id
  }
}
