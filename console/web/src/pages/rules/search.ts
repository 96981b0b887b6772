// What the rules page shows, as its address says it.

import type { Search } from '../../lib/search'

export type RulesView = 'history' | 'fields' | 'drafts'

export interface RulesSearch {
  /** Key of the action, "*" for the rules of all other actions. */
  action?: string
  /** Key of the rule that is open. */
  rule?: string
  view?: RulesView
  /** Id of a saved draft. */
  draft?: string
  /** Number of a published set. */
  set?: string
}

/** The view that an address means: a draft and a published set name theirs. */
export const viewOf = ({ view, draft, set }: RulesSearch): RulesView | undefined => (draft !== undefined ? 'drafts' : set !== undefined ? 'history' : view)

export function readRulesSearch(search: Search | Record<string, unknown>): RulesSearch {
  const { action, rule, view, draft, set } = search
  return {
    ...(typeof action === 'string' && action !== '' ? { action } : {}),
    ...(typeof rule === 'string' && rule !== '' ? { rule } : {}),
    ...(view === 'history' || view === 'fields' || view === 'drafts' ? { view } : {}),
    ...(typeof draft === 'string' && draft !== '' ? { draft } : {}),
    ...(typeof set === 'string' && /^[1-9]\d{0,8}$/.test(set) ? { set } : {}),
  }
}
