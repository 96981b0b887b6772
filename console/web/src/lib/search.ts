// The part of an address behind "?" as flat text values. The router's own
// codec writes JSON; these addresses are read and shared by people.

export type Search = Record<string, string>

export function parseSearch(text: string): Search {
  const out: Search = {}
  for (const [name, value] of new URLSearchParams(text)) {
    if (!(name in out)) out[name] = value
  }
  return out
}

/** Writes what parseSearch reads. Empty and missing values are left out. */
export function stringifySearch(search: Record<string, unknown>): string {
  const parts: string[] = []
  for (const [name, value] of Object.entries(search)) {
    if (typeof value === 'string' && value !== '') parts.push(`${encodeURIComponent(name)}=${readable(value)}`)
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}

// Characters that a query may hold as they are (RFC 3986, section 3.4) and that
// times and ids are full of.
const readable = (value: string): string =>
  encodeURIComponent(value).replace(/%(2F|3A|40|2C)/g, (escape) => decodeURIComponent(escape))
