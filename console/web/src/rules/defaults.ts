// What an empty field of a definition means (package rules, definition.go).

import type { ActionRules, Field, Rule } from '../api/types'

export const defaultOf = (action: Pick<ActionRules, 'default'>) => action.default || 'ALLOW'
export const onFailureOf = (action: Pick<ActionRules, 'onFailure'>) => action.onFailure || 'CHALLENGE'
export const unenrolledOf = (action: Pick<ActionRules, 'unenrolled'>) => action.unenrolled || 'allow'
/** "" where nothing is said: then the action's value counts for a rule, and the server's default for an action. */
export const userVerificationOf = (from: Pick<Rule | ActionRules, 'userVerification'>) => from.userVerification ?? ''
export const modeOf = (rule: Pick<Rule, 'mode'>) => rule.mode || 'live'
export const onErrorOf = (rule: Pick<Rule, 'onError'>) => rule.onError || 'fail'
export const onUnknownOf = (rule: Pick<Rule, 'onUnknown'>) => rule.onUnknown || 'no-match'

/** A field as rules read it: without a scope it comes with the action. */
export const fieldName = ({ name, scope }: Pick<Field, 'name' | 'scope'>): string => `${scope === 'user' ? 'user.custom' : 'custom'}.${name}`
