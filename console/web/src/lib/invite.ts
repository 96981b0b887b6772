// The secret of a registration link. It stands in the fragment, which browsers
// send to no server, and must not stay in the address bar or the history.

let taken: string | undefined

/** Reads the invite from a page's address, without changing anything. */
export function inviteIn(address: string): string | undefined {
  const { hash, searchParams } = new URL(address)
  const fragment = new URLSearchParams(hash.replace(/^#/, ''))
  return fragment.get('invite') || searchParams.get('invite') || undefined
}

/** Keeps the invite in memory and removes it from the address. Runs before the router reads the address. */
export function takeInvite(): void {
  taken = inviteIn(location.href)
  if (taken === undefined) return
  const clean = new URL(location.href)
  clean.hash = ''
  clean.searchParams.delete('invite')
  history.replaceState(null, '', clean)
}

export const invite = (): string | undefined => taken

export const forgetInvite = (): void => {
  taken = undefined
}
