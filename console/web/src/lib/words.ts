// The words for outcomes and states that every page uses.

import type { Outcome, State } from '../api/types'

export const outcomeLabels: Readonly<Record<Outcome, string>> = {
  ALLOW: 'Allow',
  CHALLENGE: 'Challenge',
  REVIEW: 'Review',
  BLOCK: 'Block',
}

export type Progress = 'waiting' | 'good' | 'bad' | 'none'

interface StateWords {
  /** One word for a list; "" when the outcome says it all. */
  label: string
  sentence: string
  progress: Progress
}

const states: Readonly<Record<State, StateWords>> = {
  ALLOW: { label: '', sentence: 'The action may go ahead.', progress: 'none' },
  BLOCK: { label: '', sentence: 'The action must not go ahead.', progress: 'none' },
  CHALLENGE_REQUIRED: { label: 'waiting', sentence: 'The person has not proven yet that it is them.', progress: 'waiting' },
  CHALLENGE_SUCCEEDED: { label: 'passed', sentence: 'The person proved that it is them.', progress: 'good' },
  CHALLENGE_FAILED: { label: 'failed', sentence: 'The person did not prove that it is them, or said that they did not ask for this.', progress: 'bad' },
  REVIEW_REQUIRED: { label: 'waiting', sentence: 'Somebody has to look at it.', progress: 'waiting' },
  REVIEW_SUCCEEDED: { label: 'approved', sentence: 'It was reviewed and approved.', progress: 'good' },
  REVIEW_FAILED: { label: 'declined', sentence: 'It was reviewed and declined.', progress: 'bad' },
}

export const stateWords = (state: State): StateWords => states[state]

/** Whether the story of the action can still go on by itself. */
export const isOpen = (state: State): boolean => states[state].progress === 'waiting'
