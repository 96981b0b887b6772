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
  /** The outcome that a state belongs to, whatever the rules said. */
  outcome: Outcome
  /** One word beside the outcome it belongs to; "" when that says it all. */
  label: string
  /** The same beside another outcome: a policy or a person decided otherwise. */
  otherwise: string
  sentence: string
  progress: Progress
}

const states: Readonly<Record<State, StateWords>> = {
  ALLOW: { outcome: 'ALLOW', label: '', otherwise: 'let through', sentence: 'The action may go ahead.', progress: 'none' },
  BLOCK: { outcome: 'BLOCK', label: '', otherwise: 'blocked', sentence: 'The action must not go ahead.', progress: 'none' },
  CHALLENGE_REQUIRED: {
    outcome: 'CHALLENGE',
    label: 'waiting',
    otherwise: 'challenge waiting',
    sentence: 'The person has not proven yet that it is them.',
    progress: 'waiting',
  },
  CHALLENGE_SUCCEEDED: { outcome: 'CHALLENGE', label: 'passed', otherwise: 'challenge passed', sentence: 'The person proved that it is them.', progress: 'good' },
  CHALLENGE_FAILED: {
    outcome: 'CHALLENGE',
    label: 'failed',
    otherwise: 'challenge failed',
    sentence: 'The person did not prove that it is them, or said that they did not ask for this.',
    progress: 'bad',
  },
  REVIEW_REQUIRED: { outcome: 'REVIEW', label: 'waiting', otherwise: 'in review', sentence: 'Somebody has to look at it.', progress: 'waiting' },
  REVIEW_SUCCEEDED: { outcome: 'REVIEW', label: 'approved', otherwise: 'approved', sentence: 'It was reviewed and approved.', progress: 'good' },
  REVIEW_FAILED: { outcome: 'REVIEW', label: 'declined', otherwise: 'declined', sentence: 'It was reviewed and declined.', progress: 'bad' },
}

/** The outcome that a state belongs to: what was done, where a policy did not do what the rules said. */
export const outcomeOf = (state: State): Outcome => states[state].outcome

/** What to say about a state beside an outcome; label is "" when the outcome says it all. */
export function stateWords(state: State, outcome?: Outcome): { label: string; sentence: string; progress: Progress } {
  const words = states[state]
  const { sentence, progress } = words
  if (outcome === undefined || outcome === words.outcome) return { label: words.label, sentence, progress }
  return { label: words.otherwise, sentence, progress: state === 'BLOCK' ? 'bad' : progress }
}

/** Whether the story of the action can still go on by itself. */
export const isOpen = (state: State): boolean => states[state].progress === 'waiting'

const authors: Readonly<Record<string, string>> = { management: 'The management API', sallyport: 'Sallyport', backend: 'The backend' }

/** The author of a published set or a draft, by name where it is known. */
export function authorName(author: string, self: { id: string; name: string } | undefined, names: Readonly<Record<string, string>> = {}): string {
  const id = /^operator:(.+)$/.exec(author)?.[1]
  if (id === undefined) return authors[author] ?? author
  return (id === self?.id ? self.name : names[id]) ?? `Operator ${id.slice(0, 6)}`
}
