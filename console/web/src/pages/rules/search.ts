// What the rules page shows, as its address says it.

import type { Search } from '../../lib/search'

export type RulesView = 'history' | 'fields'

export interface RulesSearch {
  /** Key of the action, "*" for the rules of all other actions. */
  action?: string
  /** Key of the rule that is open. */
  rule?: string
  view?: RulesView
}

export function readRulesSearch(search: Search | Record<string, unknown>): RulesSearch {
  const { action, rule, view } = search
  return {
    ...(typeof action === 'string' && action !== '' ? { action } : {}),
    ...(typeof rule === 'string' && rule !== '' ? { rule } : {}),
    ...(view === 'history' || view === 'fields' ? { view } : {}),
  }
}
