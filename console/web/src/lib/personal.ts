// Whether personal data is shown in this tab. Hidden until somebody asks.

import { useSyncExternalStore } from 'react'

import { readStored, writeStored } from './stored'

let shown = readStored(sessionStorage, 'personal') === 'shown'
const watchers = new Set<() => void>()

export function showPersonal(on: boolean): void {
  shown = on
  writeStored(sessionStorage, 'personal', on ? 'shown' : undefined)
  for (const watcher of watchers) watcher()
}

export const usePersonalShown = (): boolean =>
  useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher)
      return () => {
        watchers.delete(watcher)
      }
    },
    () => shown,
  )
