// Small values that outlive a page load. Storage may be full or switched off;
// the console then works without it.

export function readStored(store: Storage, name: string): string | undefined {
  try {
    return store.getItem(`sallyport.${name}`) ?? undefined
  } catch {
    return undefined
  }
}

/** Keeps value, or removes it when it is undefined. */
export function writeStored(store: Storage, name: string, value: string | undefined): void {
  try {
    if (value === undefined) store.removeItem(`sallyport.${name}`)
    else store.setItem(`sallyport.${name}`, value)
  } catch {
    // The value lives for this page only, which is what a person who switched storage off asked for.
  }
}
