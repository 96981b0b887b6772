// The words of the rule editor's choices, in the order in which they stand.

import type { ActionRules, Rule } from '../../api/types'
import type { userVerificationOf } from '../../rules/defaults'

type Choice<T> = { value: T; label: string }[]

export const outcomeChoices: Choice<Rule['outcome']> = [
  { value: 'ALLOW', label: 'Allow' },
  { value: 'CHALLENGE', label: 'Challenge' },
  { value: 'REVIEW', label: 'Review' },
  { value: 'BLOCK', label: 'Block' },
]

export const modeChoices: Choice<NonNullable<Rule['mode']>> = [
  { value: 'live', label: 'Live' },
  { value: 'shadow', label: 'Shadow' },
  { value: 'off', label: 'Off' },
]

export const modeHelp: Readonly<Record<NonNullable<Rule['mode']>, string>> = {
  live: 'The rule counts.',
  shadow: 'The rule is tried and recorded, but never decides.',
  off: 'The rule is not tried.',
}

export const onErrorChoices: Choice<NonNullable<Rule['onError']>> = [
  { value: 'fail', label: 'Use the failure outcome' },
  { value: 'match', label: 'Count as a match' },
  { value: 'no-match', label: 'Go on to the next rule' },
]

export const onUnknownChoices: Choice<NonNullable<Rule['onUnknown']>> = [
  { value: 'no-match', label: 'Go on to the next rule' },
  { value: 'match', label: 'Count as a match' },
]

export const unenrolledChoices: Choice<NonNullable<ActionRules['unenrolled']>> = [
  { value: 'allow', label: 'let the action go ahead' },
  { value: 'enrol', label: 'have them create one, after a code sent by e-mail' },
  { value: 'review', label: 'send the action to review' },
  { value: 'block', label: 'block the action' },
]

type Verification = ReturnType<typeof userVerificationOf>

const verifications: Choice<Verification> = [
  { value: 'required', label: 'Required' },
  { value: 'preferred', label: 'Preferred' },
  { value: 'discouraged', label: 'Discouraged' },
]

export const actionVerificationChoices: Choice<Verification> = [{ value: '', label: 'Server\u2019s default' }, ...verifications]

export const ruleVerificationChoices: Choice<Verification> = [{ value: '', label: 'As the action says' }, ...verifications]

export const verificationHelp = 'Whether a challenge asks for a fingerprint, a face or a PIN, or only for a touch.'
