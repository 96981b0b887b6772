// What can be done with a rule set on its way, by whom, and why not.

import type { SavedDraft, Session } from '../api/types'

type Head = Pick<SavedDraft, 'base' | 'revision' | 'authors' | 'approvals' | 'approved'>

export interface Situation {
  draft: Head
  /** Number of the set in force. */
  current: number
  approvalRequired: boolean
  operator: Session['operator']
  /** What the check and the tests say; undefined while they are on their way. */
  problems: number | undefined
  failedTests: number | undefined
}

/** A step that is offered, or the reason why it is not. */
export type Step = { offered: true } | { offered: false; reason: string }

export type Standing = 'outdated' | 'waiting' | 'approved' | 'ready'

const offered: Step = { offered: true }
const refused = (reason: string): Step => ({ offered: false, reason })

/** How published sets and drafts name an operator. */
export const authorOf = (operator: Pick<Session['operator'], 'id'>): string => `operator:${operator.id}`

/** Reviewers read. */
export const mayChange = (operator: Pick<Session['operator'], 'role'>): boolean => operator.role !== 'reviewer'

/** What a draft waits for, in the list and on its page. */
export function standing(draft: Head, current: number, approvalRequired: boolean): Standing {
  if (draft.base !== current) return 'outdated'
  if (draft.approved) return 'approved'
  return approvalRequired ? 'waiting' : 'ready'
}

export const standingWords: Readonly<Record<Standing, string>> = {
  outdated: 'Out of date',
  waiting: 'Waits for approval',
  approved: 'Approved',
  ready: 'Ready to publish',
}

/** Whether this person can approve the revision. */
export function approving({ draft, current, approvalRequired, operator }: Situation): Step {
  const self = authorOf(operator)
  if (!mayChange(operator)) return refused('Approving needs the role of an analyst.')
  if (draft.approvals.some(({ by }) => by === self)) return refused('You approved this revision.')
  if (draft.base !== current) return refused(`It is based on set ${draft.base}, and set ${current} is in force by now.`)
  if (!approvalRequired) return refused('Drafts need nobody’s approval here.')
  if (draft.authors.includes(self)) return refused('You worked on this draft, so somebody else must approve it.')
  return offered
}

/** Whether this person can publish the draft: the first thing that is missing, in the order in which it is mended. */
export function publishing({ draft, current, approvalRequired, operator, problems, failedTests }: Situation): Step {
  if (!mayChange(operator)) return refused('Publishing needs the role of an analyst.')
  if (draft.base !== current) return refused(`It is based on set ${draft.base}, and set ${current} is in force by now.`)
  if (problems === undefined || failedTests === undefined) return refused('It is not checked yet.')
  if (problems > 0) return refused('It has problems to mend first.')
  if (failedTests > 0) return refused('A test fails.')
  if (approvalRequired && !draft.approved) return refused('Somebody who did not work on it must approve it first.')
  return offered
}
