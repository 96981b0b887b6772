// Where a problem that the server found belongs in the draft.

import type { Problem } from '../api/types'
import { otherwiseKey, type Draft, type DraftRule } from './draft'

export interface Place {
  /** Key of the action, of the rule and of the field that the problem is about. */
  action?: string
  rule?: string
  field?: string
  /** The member, such as "when" or "outcome". */
  member?: string
}

/** Reads a path such as actions[0].rules[2].when against the draft that was checked. */
export function placeOf(problem: Problem, draft: Draft): Place {
  const path = problem.field ?? ''
  const [, list, listIndex, otherwise, rest = ''] = /^(?:(actions|fields)\[(\d+)\]|(otherwise))(.*)$/.exec(path) ?? []
  const place: Place = {}
  if (list === 'fields') {
    const field = draft.fields[Number(listIndex)]
    if (field !== undefined) place.field = field.key
    return withMember(place, rest)
  }
  const action = otherwise !== undefined ? draft.otherwise : list === 'actions' ? draft.actions[Number(listIndex)] : undefined
  if (action !== undefined) {
    place.action = action.key
    const [, ruleIndex, member = ''] = /^\.rules\[(\d+)\](.*)$/.exec(rest) ?? []
    if (ruleIndex === undefined) return withMember(place, rest)
    const rule = action.rules[Number(ruleIndex)]
    if (rule !== undefined) place.rule = rule.key
    return withMember(place, member)
  }
  return byRuleId(problem, draft)
}

function withMember(place: Place, rest: string): Place {
  const member = /^\.(\w+)/.exec(rest)?.[1]
  return member === undefined ? place : { ...place, member }
}

function byRuleId(problem: Problem, draft: Draft): Place {
  if (problem.rule === undefined) return {}
  for (const action of [...draft.actions, draft.otherwise]) {
    const rule = action.rules.find((candidate) => candidate.id === problem.rule)
    if (rule !== undefined) return { action: action.key, rule: rule.key, ...(problem.line === undefined ? {} : { member: 'when' }) }
  }
  return {}
}

export interface Placed extends Problem {
  place: Place
}

export const placeAll = (problems: readonly Problem[], draft: Draft): Placed[] =>
  problems.map((problem) => ({ ...problem, place: placeOf(problem, draft) }))

export const problemsOfRule = (problems: readonly Placed[], rule: Pick<DraftRule, 'key'>): Placed[] =>
  problems.filter(({ place }) => place.rule === rule.key)

export const problemsOfAction = (problems: readonly Placed[], action: string): Placed[] =>
  problems.filter(({ place }) => place.action === action)

/** A heading for a problem: where a person finds what it is about. */
export function placeName(place: Place, draft: Draft): string {
  if (place.field !== undefined) return `Field ${draft.fields.find((field) => field.key === place.field)?.name || 'without a name'}`
  const action = place.action === otherwiseKey ? draft.otherwise : draft.actions.find(({ key }) => key === place.action)
  if (action === undefined) return 'The rule set'
  const title = action.key === otherwiseKey ? 'Other actions' : action.code
  const rule = action.rules.find(({ key }) => key === place.rule)
  return rule === undefined ? title : `${title}: ${rule.name || 'rule without a name'}`
}

/** The character offsets in text that a line and column (both from 1) point at: to the end of the word there. */
export function rangeOf(text: string, line: number | undefined, column: number | undefined): { from: number; to: number } {
  if (line === undefined) return { from: 0, to: text.length }
  const lines = text.split('\n')
  const at = Math.min(Math.max(line, 1), lines.length) - 1
  const start = lines.slice(0, at).reduce((sum, each) => sum + each.length + 1, 0)
  const current = lines[at] ?? ''
  const from = Math.min(Math.max((column ?? 1) - 1, 0), current.length)
  const word = /^[A-Za-z_]\w*(?:\.\w+)*|^\w+|^"(?:[^"\\]|\\.)*"?|^./.exec(current.slice(from))?.[0].length ?? 0
  // An error at the end of the text has nothing behind it to underline: take the character before.
  return word > 0 ? { from: start + from, to: start + from + word } : { from: start + Math.max(from - 1, 0), to: start + from }
}
