import { useEffect, useMemo, useReducer } from 'react'

import type { RuleSet } from '../../api/types'
import { readStored, writeStored } from '../../lib/stored'
import { countChanges, diff, type Group } from '../../rules/diff'
import { definitionOf, draftOf, reduce, stateOf, type Change, type Draft, type State } from '../../rules/draft'

const storedAs = 'draft.2' // raise the number when the shape of a draft changes

function restore(): Draft | undefined {
  const text = readStored(sessionStorage, storedAs)
  if (text === undefined) return undefined
  try {
    const draft = JSON.parse(text) as Partial<Draft>
    const whole = typeof draft.base === 'number' && draft.original !== undefined && Array.isArray(draft.actions) && draft.otherwise !== undefined && draft.rest !== undefined
    return whole ? (draft as Draft) : undefined
  } catch {
    return undefined
  }
}

const start = (inForce: RuleSet): State => stateOf(restore() ?? draftOf(inForce.number, inForce.definition))

export interface DraftState {
  draft: Draft
  groups: Group[]
  /** How many things the draft changes in the set it started from. */
  changes: number
  canUndo: boolean
  dispatch: (change: Change) => void
}

/** The draft over the set in force. It outlives a reload of the tab, and is gone when the tab is closed. */
export function useDraft(inForce: RuleSet): DraftState {
  const [state, dispatch] = useReducer(reduce, inForce, start)
  const { draft } = state
  const groups = useMemo(() => diff(draft.original, definitionOf(draft)), [draft])
  const changes = countChanges(groups)
  const untouched = changes === 0

  // A newer set replaces a draft without changes at once; edits are never thrown away.
  useEffect(() => {
    if (untouched && draft.base !== inForce.number) dispatch({ type: 'load', base: inForce.number, definition: inForce.definition })
  }, [draft.base, inForce, untouched])

  useEffect(() => writeStored(sessionStorage, storedAs, untouched ? undefined : JSON.stringify(draft)), [draft, untouched])

  useEffect(() => {
    if (untouched) return
    const warn = (event: BeforeUnloadEvent) => event.preventDefault()
    window.addEventListener('beforeunload', warn)
    return () => window.removeEventListener('beforeunload', warn)
  }, [untouched])

  return { draft, groups, changes, canUndo: state.past.length > 0, dispatch }
}
