// Keys that do something on a page. Single keys can be switched off, since
// speech input types them by accident (WCAG 2.2, success criterion 2.1.4).

import { useEffect, useRef, useSyncExternalStore } from 'react'

import { readStored, writeStored } from './stored'

export interface Shortcut {
  /** One key, or two after each other such as "g d", as KeyboardEvent.key has them. */
  keys: string
  label: string
  /** What the help lists it below. */
  group: string
  run: () => void
}

let registered: readonly (readonly Shortcut[])[] = []
let enabled = readStored(localStorage, 'shortcuts') !== 'off'
const watchers = new Set<() => void>()

const tell = () => {
  for (const watcher of watchers) watcher()
}

const watch = (watcher: () => void) => {
  watchers.add(watcher)
  return () => {
    watchers.delete(watcher)
  }
}

/** Every shortcut that works now, in the order in which the parts of the page appeared. */
export const useAllShortcuts = (): readonly (readonly Shortcut[])[] => useSyncExternalStore(watch, () => registered)

export const useShortcutsEnabled = (): boolean => useSyncExternalStore(watch, () => enabled)

export function enableShortcuts(on: boolean): void {
  enabled = on
  writeStored(localStorage, 'shortcuts', on ? undefined : 'off')
  tell()
}

/** Makes shortcuts work while the component is on the page. Labels and keys are read once. */
export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  const latest = useRef(shortcuts)
  useEffect(() => {
    latest.current = shortcuts
  })
  useEffect(() => {
    const mine = latest.current.map((shortcut, i) => ({ ...shortcut, run: () => latest.current[i]?.run() }))
    registered = [...registered, mine]
    tell()
    return () => {
      registered = registered.filter((each) => each !== mine)
      tell()
    }
  }, [])
}

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))

const sequenceMs = 1200

/** Listens to the keyboard. Called once, by the page's frame. */
export function listenToKeys(): () => void {
  let first = ''
  let since = 0
  const onKey = (event: KeyboardEvent) => {
    if (!enabled || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
    if (isTyping(event.target) || document.querySelector('[role="dialog"][aria-modal="true"]') !== null) return
    const sequence = first !== '' && event.timeStamp - since < sequenceMs ? `${first} ${event.key}` : ''
    first = ''
    const all = registered.flat()
    const found = all.findLast(({ keys }) => keys === sequence) ?? all.findLast(({ keys }) => keys === event.key)
    if (found !== undefined) {
      event.preventDefault()
      found.run()
    } else if (all.some(({ keys }) => keys.startsWith(`${event.key} `))) {
      first = event.key
      since = event.timeStamp
    }
  }
  document.addEventListener('keydown', onKey)
  return () => document.removeEventListener('keydown', onKey)
}
