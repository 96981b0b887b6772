// Decisions in plain sentences. Pure.

import type { Decision, Outcome } from '../../api/types'
import { outcomeOf } from '../../lib/words'

const verbs: Readonly<Record<Outcome, string>> = {
  ALLOW: 'Allowed',
  CHALLENGE: 'Challenged',
  REVIEW: 'Sent to review',
  BLOCK: 'Blocked',
}

// What the policy for people without a passkey did instead of a challenge.
const policies: Readonly<Record<Outcome, string>> = {
  ALLOW: 'let the action go ahead',
  CHALLENGE: 'had the person create one first',
  REVIEW: 'sent the action to review',
  BLOCK: 'blocked the action',
}

/** Why the action was decided as it was. */
export function why(decision: Pick<Decision, 'outcome' | 'state' | 'reason' | 'rule' | 'ruleName' | 'action' | 'set' | 'matches'>): string {
  const verb = verbs[decision.outcome]
  const rule = decision.ruleName || decision.rule
  switch (decision.reason) {
    case 'rule':
      return rule === undefined ? `${verb} by a rule of set ${decision.set}.` : `${verb} because the rule “${rule}” matched.`
    case 'default': {
      const shadows = decision.matches.filter((match) => match.mode === 'shadow' && match.result === 'matched').length
      return `${verb} because no live rule matched: this is the default for ${decision.action}.${shadows > 0 ? ' Shadow rules that matched do not count.' : ''}`
    }
    case 'fail-mode':
      return `${verb} because the rules could not decide (a rule failed or a signal was late): this is the failure outcome for ${decision.action}.`
    case 'enrolment-policy': {
      const asked = rule === undefined ? `The default for ${decision.action} is a challenge` : `The rule “${rule}” asks for a challenge`
      return `${asked}, but the person has no passkey: the policy ${policies[outcomeOf(decision.state)]}.`
    }
    case 'management':
      return `${verb} because changing passkeys always asks for proof from somebody who has one.`
    case 'sign-in':
      return `${verb} because the person proves themselves with this very action.`
  }
}

/** Why, in the few words that a list's column holds. */
export function shortWhy(decision: Pick<Decision, 'reason' | 'rule' | 'ruleName'>): string {
  switch (decision.reason) {
    case 'rule':
      return decision.ruleName || decision.rule || 'A rule'
    case 'default':
      return 'Default'
    case 'fail-mode':
      return 'Failure outcome'
    case 'enrolment-policy':
      return `${decision.ruleName || decision.rule || 'Default'}, no passkey`
    case 'management':
      return 'Passkey change'
    case 'sign-in':
      return 'Sign-in'
  }
}
