// What publishing a draft would change, as people say it.

import type { ActionRules, DeclaredList, Definition, Field, Metric, Rule, Test } from '../api/types'
import { defaultOf, fieldName, modeOf, onErrorOf, onFailureOf, onUnknownOf, unenrolledOf, userVerificationOf } from './defaults'

/** One value that differs. "" stands for nothing. */
export interface ValueChange {
  label: string
  before: string
  after: string
}

export interface Entry {
  kind: 'added' | 'removed' | 'changed' | 'moved'
  subject: 'rule' | 'action' | 'field' | 'metric' | 'list' | 'test'
  /** The rule's id, the action's code, the field as rules read it, or a name. */
  id: string
  name: string
  /** Positions from 1, where the rule was and is. */
  from?: number
  to?: number
  values: ValueChange[]
}

/** The changes below one heading: an action's code, "" for other actions, or null for what belongs to none. */
export interface Group {
  action: string | null
  part: 'rules' | 'fields' | 'metrics' | 'lists' | 'tests'
  entries: Entry[]
}

/** Everything that differs between two definitions, in the order of the second. */
export function diff(before: Definition, after: Definition): Group[] {
  const groups: Group[] = []
  const push = (action: string | null, entries: Entry[], part: Group['part'] = 'rules') => {
    if (entries.length > 0) groups.push({ action, part, entries })
  }
  push(null, diffNamed('field', fieldValues, fieldName, before.fields, after.fields), 'fields')
  push(null, diffNamed('metric', metricValues, nameOf, before.metrics, after.metrics), 'metrics')
  push(null, diffNamed('list', listValues, nameOf, before.lists, after.lists), 'lists')
  for (const action of after.actions) {
    const old = before.actions.find((other) => other.code === action.code)
    push(action.code, old === undefined ? [actionEntry('added', action), ...action.rules.map((rule, i) => ruleEntry('added', rule, i))] : diffAction(old, action))
  }
  for (const old of before.actions) {
    if (!after.actions.some((action) => action.code === old.code)) {
      push(old.code, [actionEntry('removed', old), ...old.rules.map((rule, i) => ruleEntry('removed', rule, i))])
    }
  }
  push('', diffAction(before.otherwise, after.otherwise))
  push(null, diffNamed('test', testValues, nameOf, before.tests, after.tests), 'tests')
  return groups
}

/** The number of entries in all groups. */
export const countChanges = (groups: readonly Group[]): number => groups.reduce((n, group) => n + group.entries.length, 0)

type Reader<T> = readonly [label: string, read: (from: T) => string]

const ruleValues: readonly Reader<Rule>[] = [
  ['Name', (rule) => rule.name],
  ['Condition', (rule) => rule.when],
  ['Outcome', (rule) => rule.outcome],
  ['Mode', modeOf],
  ['On an error', onErrorOf],
  ['On a missing value', onUnknownOf],
  ['Description', (rule) => rule.description ?? ''],
  ['Tags', (rule) => (rule.tags ?? []).join(', ')],
  ['Share of people', (rule) => (rule.rollout === undefined ? '' : `${rule.rollout} %`)],
  ['Methods of a challenge', (rule) => (rule.methods ?? []).join(', ')],
  ['User verification', userVerificationOf],
  ['When it matches', ({ onMatch }) => (onMatch === undefined ? '' : `add ${onMatch.add} to ${onMatch.to}${onMatch.for ? ` for ${onMatch.for}` : ''}`)],
]

const actionValues: readonly Reader<ActionRules>[] = [
  ['Outcome without a match', defaultOf],
  ['Outcome on failure', onFailureOf],
  ['Challenge without a passkey', unenrolledOf],
  ['User verification', userVerificationOf],
  ['Text to approve', (action) => action.prompt ?? ''],
]

const fieldValues: readonly Reader<Field>[] = [
  ['Type', (field) => field.type],
  ['Description', (field) => field.description ?? ''],
]

const metricValues: readonly Reader<Metric>[] = [
  ['Function', (metric) => [metric.function, metric.of].filter(Boolean).join(' of ')],
  ['Per', (metric) => metric.per || 'user.id'],
  ['Counts', (metric) => metric.counts || 'actions'],
  ['Condition', (metric) => metric.where ?? ''],
  ['Window', (metric) => metric.window],
  ['Description', (metric) => metric.description ?? ''],
]

const listValues: readonly Reader<DeclaredList>[] = [
  ['Type', (list) => list.type],
  ['Description', (list) => list.description ?? ''],
]

const testValues: readonly Reader<Test>[] = [
  ['Action', (test) => test.action],
  ['Facts', (test) => JSON.stringify(test.facts ?? {})],
  ['Outcome', (test) => test.want],
  ['Rule', (test) => test.rule ?? ''],
]

const nameOf = ({ name }: { name: string }): string => name

const differing = <T>(readers: readonly Reader<T>[], before: T | undefined, after: T | undefined): ValueChange[] =>
  readers
    .map(([label, read]) => ({ label, before: before === undefined ? '' : read(before), after: after === undefined ? '' : read(after) }))
    .filter((change) => change.before !== change.after)

function ruleEntry(kind: 'added' | 'removed', rule: Rule, index: number): Entry {
  const added = kind === 'added'
  return {
    kind,
    subject: 'rule',
    id: rule.id,
    name: rule.name,
    ...(added ? { to: index + 1 } : { from: index + 1 }),
    values: differing(ruleValues, added ? undefined : rule, added ? rule : undefined).filter(({ label }) => label !== 'Name'),
  }
}

const actionEntry = (kind: 'added' | 'removed', action: ActionRules): Entry => ({
  kind,
  subject: 'action',
  id: action.code,
  name: action.code,
  values: differing(actionValues, kind === 'added' ? undefined : action, kind === 'added' ? action : undefined),
})

function diffAction(before: ActionRules, after: ActionRules): Entry[] {
  const entries: Entry[] = []
  const settings = differing(actionValues, before, after)
  if (settings.length > 0) entries.push({ kind: 'changed', subject: 'action', id: after.code, name: after.code, values: settings })

  const was = new Map(before.rules.map((rule, i) => [rule.id, i]))
  const kept = after.rules.filter((rule) => was.has(rule.id))
  const stayed = inOrder(kept.map((rule) => was.get(rule.id) ?? 0))
  const resting = new Set(kept.filter((_, i) => stayed.has(i)).map((rule) => rule.id))

  after.rules.forEach((rule, i) => {
    const from = was.get(rule.id)
    const old = from === undefined ? undefined : before.rules[from]
    if (from === undefined || old === undefined) {
      entries.push(ruleEntry('added', rule, i))
      return
    }
    const values = differing(ruleValues, old, rule)
    const moved = !resting.has(rule.id)
    if (values.length > 0 || moved) {
      entries.push({
        kind: values.length > 0 ? 'changed' : 'moved',
        subject: 'rule',
        id: rule.id,
        name: rule.name,
        ...(moved ? { from: from + 1, to: i + 1 } : {}),
        values,
      })
    }
  })
  before.rules.forEach((rule, i) => {
    if (!after.rules.some((other) => other.id === rule.id)) entries.push(ruleEntry('removed', rule, i))
  })
  return entries
}

function diffNamed<T extends { name: string }>(
  subject: Entry['subject'],
  readers: readonly Reader<T>[],
  idOf: (from: T) => string,
  before: readonly T[] = [],
  after: readonly T[] = [],
): Entry[] {
  const entries: Entry[] = []
  for (const each of after) {
    const old = before.find((other) => idOf(other) === idOf(each))
    const values = differing(readers, old, each)
    if (old === undefined || values.length > 0) {
      entries.push({ kind: old === undefined ? 'added' : 'changed', subject, id: idOf(each), name: each.name, values })
    }
  }
  for (const old of before) {
    if (!after.some((each) => idOf(each) === idOf(old))) {
      entries.push({ kind: 'removed', subject, id: idOf(old), name: old.name, values: differing(readers, old, undefined) })
    }
  }
  return entries
}

/**
 * The indexes of a longest increasing run through numbers: what stayed in order
 * when the rest was moved, so that moving one rule reads as one move.
 */
export function inOrder(numbers: readonly number[]): Set<number> {
  const ends: number[] = [] // ends[n]: index of the smallest last number of a run of n+1
  const before: number[] = []
  numbers.forEach((number, i) => {
    let at = ends.findIndex((end) => (numbers[end] ?? 0) >= number)
    if (at < 0) at = ends.length
    before[i] = ends[at - 1] ?? -1
    ends[at] = i
  })
  const run = new Set<number>()
  for (let i = ends.at(-1) ?? -1; i >= 0; i = before[i] ?? -1) run.add(i)
  return run
}
