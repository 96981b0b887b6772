// The rule set that somebody is editing: one reducer, no React. Rules and
// actions carry a key of their own, since their ids and codes change while they
// are typed.

import type { ActionRules, Definition, Field, Rule } from '../api/types'
import { freeId, slug } from './ids'

export interface DraftRule extends Rule {
  key: string
  /** The id follows the name until the rule is published or somebody sets the id. */
  idFollows: boolean
}

export interface DraftAction extends Omit<ActionRules, 'rules'> {
  key: string
  rules: DraftRule[]
}

export interface DraftField extends Field {
  key: string
}

export interface Draft {
  /** Number of the set that the draft started from. */
  base: number
  /** That set's definition, to compare with. */
  original: Definition
  fields: DraftField[]
  actions: DraftAction[]
  otherwise: DraftAction
  /** The saved draft that is being edited; undefined while the changes are this tab's alone. */
  source?: Source
  /** What the console does not edit yet and hands back as it came: metrics, lists, tests. */
  rest: Rest
  /** Makes the next key; never goes back, so that a key names one thing for good. */
  counter: number
}

/** One revision of a saved draft. */
export interface Source {
  id: string
  revision: number
  title: string
}

type Rest = Omit<Definition, 'fields' | 'actions' | 'otherwise'>

function restOf({ fields: _fields, actions: _actions, otherwise: _otherwise, ...rest }: Definition): Rest {
  return rest
}

/** The key of the rules for actions that the set does not list. */
export const otherwiseKey = '*'

export interface State {
  draft: Draft
  /** Earlier drafts, newest last. */
  past: Draft[]
  /** What the last change touched: typing on in one place is one step back. */
  touched: string
}

/** What to set. A member that may be left out is taken away by undefined. */
export type Values<T> = { [K in keyof T]?: object extends Pick<T, K> ? T[K] | undefined : T[K] }

export type Change =
  | { type: 'load'; base: number; definition: Definition }
  | { type: 'restore'; draft: Draft }
  | { type: 'rebase'; base: number; definition: Definition }
  | { type: 'take'; base: number; original: Definition; definition: Definition; source: Source }
  | { type: 'discard' }
  | { type: 'undo' }
  | { type: 'rule/add'; action: string; at?: number }
  | { type: 'rule/duplicate'; action: string; rule: string }
  | { type: 'rule/remove'; action: string; rule: string }
  | { type: 'rule/move'; action: string; rule: string; to: number }
  | { type: 'rule/set'; action: string; rule: string; values: Values<Omit<Rule, 'id'>> }
  | { type: 'rule/id'; action: string; rule: string; id: string }
  | { type: 'action/add'; code: string }
  | { type: 'action/remove'; action: string }
  | { type: 'action/set'; action: string; values: Values<Omit<ActionRules, 'rules'>> }
  | { type: 'field/add' }
  | { type: 'field/remove'; field: string }
  | { type: 'field/set'; field: string; values: Partial<Field> }

const maxPast = 100

/** A draft without changes. */
export function draftOf(base: number, definition: Definition): Draft {
  return {
    base,
    original: definition,
    fields: (definition.fields ?? []).map((field, i) => ({ ...field, key: `field-${i}` })),
    actions: definition.actions.map((action) => draftAction(action, action.code)),
    otherwise: draftAction(definition.otherwise, otherwiseKey),
    rest: restOf(definition),
    counter: definition.fields?.length ?? 0,
  }
}

const draftAction = (action: ActionRules, key: string): DraftAction => ({
  ...action,
  key,
  rules: action.rules.map((rule) => ({ ...rule, key: rule.id, idFollows: false })),
})

export const stateOf = (draft: Draft): State => ({ draft, past: [], touched: '' })

/** What the server is asked to check and to publish. */
export function definitionOf(draft: Draft): Definition {
  const actions = draft.actions.map(plainAction)
  const otherwise = plainAction(draft.otherwise)
  if (draft.fields.length === 0) return { ...draft.rest, actions, otherwise }
  return { ...draft.rest, fields: draft.fields.map(({ key: _, ...field }) => field), actions, otherwise }
}

const plainAction = ({ key: _, rules, ...action }: DraftAction): ActionRules => ({
  ...action,
  rules: rules.map(({ key: _key, idFollows: _follows, ...rule }) => rule),
})

export function findAction(draft: Draft, key: string): DraftAction | undefined {
  return key === otherwiseKey ? draft.otherwise : draft.actions.find((action) => action.key === key)
}

export const allRules = (draft: Draft): DraftRule[] => [...draft.actions, draft.otherwise].flatMap((action) => action.rules)

export function reduce(state: State, change: Change): State {
  switch (change.type) {
    case 'load':
      return stateOf(draftOf(change.base, change.definition))
    case 'restore':
      return stateOf(change.draft)
    case 'discard':
      return step(state, draftOf(state.draft.base, state.draft.original), 'discard')
    case 'rebase':
      return step(
        state,
        { ...state.draft, base: change.base, original: change.definition, rest: carried(state.draft.rest, restOf(state.draft.original), restOf(change.definition)) },
        'rebase',
      )
    case 'take':
      return step(state, { ...draftOf(change.base, change.definition), original: change.original, source: change.source }, '')
    case 'undo': {
      const last = state.past.at(-1)
      return last === undefined ? state : { draft: last, past: state.past.slice(0, -1), touched: '' }
    }
    default: {
      const draft = edit(state.draft, change)
      return draft === state.draft ? state : step(state, draft, touchedBy(change))
    }
  }
}

/** The parts of the newer set, but for those that a saved draft has changed in the older one. */
function carried(own: Rest, older: Rest, newer: Rest): Rest {
  const out: Record<string, unknown> = { ...newer }
  const read = (rest: Rest, name: string): unknown => (rest as Record<string, unknown>)[name]
  for (const name of new Set([...Object.keys(own), ...Object.keys(older)])) {
    if (JSON.stringify(read(own, name)) === JSON.stringify(read(older, name))) continue
    if (read(own, name) === undefined) delete out[name]
    else out[name] = read(own, name)
  }
  return out as Rest
}

type Edit = Exclude<Change, { type: 'load' | 'restore' | 'take' | 'discard' | 'rebase' | 'undo' }>

function step(state: State, draft: Draft, touched: string): State {
  const goesOn = touched !== '' && touched === state.touched
  return { draft, past: goesOn ? state.past : [...state.past, state.draft].slice(-maxPast), touched }
}

// What counts as typing on in one place. Structural changes are each a step.
function touchedBy(change: Edit): string {
  switch (change.type) {
    case 'rule/set':
      return `${change.action}/${change.rule}/${Object.keys(change.values).join()}`
    case 'rule/id':
      return `${change.action}/${change.rule}/id`
    case 'action/set':
      return `${change.action}/${Object.keys(change.values).join()}`
    case 'field/set':
      return `field/${change.field}/${Object.keys(change.values).join()}`
    default:
      return ''
  }
}

function edit(draft: Draft, change: Edit): Draft {
  switch (change.type) {
    case 'rule/add': {
      const key = `new-${draft.counter}`
      const rule: DraftRule = {
        key,
        idFollows: true,
        id: freeId('rule', allRules(draft).map((r) => r.id)),
        name: '',
        when: '',
        outcome: 'CHALLENGE',
        mode: 'live',
      }
      return changeRules({ ...draft, counter: draft.counter + 1 }, change.action, (rules) => spaced(rules.toSpliced(change.at ?? rules.length, 0, rule)))
    }
    case 'rule/duplicate':
      return changeRules({ ...draft, counter: draft.counter + 1 }, change.action, (rules) => {
        const at = rules.findIndex((rule) => rule.key === change.rule)
        const source = rules[at]
        if (source === undefined) return rules
        const id = freeId(source.id, allRules(draft).map((r) => r.id))
        // A copy that counted at once would change nothing but the counts; in shadow it can be edited in peace.
        const { position: _, ...unplaced } = source
        const copy: DraftRule = { ...unplaced, key: `new-${draft.counter}`, idFollows: true, id, name: `${source.name} (copy)`, mode: 'shadow' }
        return spaced(rules.toSpliced(at + 1, 0, copy))
      })
    case 'rule/remove':
      return changeRules(draft, change.action, (rules) => rules.filter((rule) => rule.key !== change.rule))
    case 'rule/move':
      return changeRules(draft, change.action, (rules) => {
        const from = rules.findIndex((rule) => rule.key === change.rule)
        const rule = rules[from]
        const to = Math.max(0, Math.min(change.to, rules.length - 1))
        if (rule === undefined || from === to) return rules
        return placed(rules.toSpliced(from, 1).toSpliced(to, 0, rule), positionsOf(rules))
      })
    case 'rule/set':
      return changeRule(draft, change.action, change.rule, (rule) => {
        const next = withValues(rule, change.values)
        if (change.values.name === undefined || !rule.idFollows) return next
        const others = allRules(draft).filter((other) => other.key !== rule.key)
        return { ...next, id: freeId(slug(next.name) || 'rule', others.map((other) => other.id)) }
      })
    case 'rule/id':
      return changeRule(draft, change.action, change.rule, (rule) => ({ ...rule, id: change.id, idFollows: false }))
    case 'action/add': {
      if (draft.actions.some((action) => action.code === change.code)) return draft
      const action: DraftAction = { key: `action-${draft.counter}`, code: change.code, rules: [] }
      return { ...draft, counter: draft.counter + 1, actions: [...draft.actions, action] }
    }
    case 'action/remove':
      return { ...draft, actions: draft.actions.filter((action) => action.key !== change.action) }
    case 'action/set':
      return changeAction(draft, change.action, (action) => withValues(action, change.values))
    case 'field/add': {
      const field: DraftField = { key: `field-${draft.counter}`, name: '', type: 'string' }
      return { ...draft, counter: draft.counter + 1, fields: [...draft.fields, field] }
    }
    case 'field/remove':
      return { ...draft, fields: draft.fields.filter((field) => field.key !== change.field) }
    case 'field/set':
      return { ...draft, fields: draft.fields.map((field) => (field.key === change.field ? { ...field, ...change.values } : field)) }
  }
}

function withValues<T extends object>(from: T, values: object): T {
  const taken = new Set(Object.entries(values).flatMap(([name, value]) => (value === undefined ? [name] : [])))
  return Object.fromEntries(Object.entries({ ...from, ...values }).filter(([name]) => !taken.has(name))) as T
}

// Positions are whole numbers that ascend from rule to rule; a rule without one
// has that of the rule before plus one. Sets that were never written through the
// management API have none, and stay without.

/** The position of each rule, also of those that do not name one. */
function positionsOf(rules: readonly Rule[]): number[] {
  let next = 0
  return rules.map(({ position }) => {
    const at = position ?? next
    next = at + 1
    return at
  })
}

/** Rules in a new order take the places that there were. */
const placed = (rules: DraftRule[], positions: readonly number[]): DraftRule[] =>
  rules.every(({ position }) => position === undefined) ? rules : rules.map((rule, i) => ({ ...rule, position: positions[i] ?? i }))

/** Makes room for a rule without a position: those behind it give way as far as they must. */
function spaced(rules: DraftRule[]): DraftRule[] {
  if (rules.every(({ position }) => position === undefined)) return rules
  let next = 0
  return rules.map((rule) => {
    const position = Math.max(rule.position ?? next, next)
    next = position + 1
    return { ...rule, position }
  })
}

// The three below give the same draft back when nothing differs.

function changeAction(draft: Draft, key: string, change: (action: DraftAction) => DraftAction): Draft {
  const before = findAction(draft, key)
  if (before === undefined) return draft
  const after = change(before)
  if (after === before) return draft
  if (key === otherwiseKey) return { ...draft, otherwise: after }
  return { ...draft, actions: draft.actions.map((action) => (action.key === key ? after : action)) }
}

const changeRules = (draft: Draft, action: string, change: (rules: DraftRule[]) => DraftRule[]): Draft =>
  changeAction(draft, action, (found) => {
    const rules = change(found.rules)
    return rules === found.rules ? found : { ...found, rules }
  })

const changeRule = (draft: Draft, action: string, key: string, change: (rule: DraftRule) => DraftRule): Draft =>
  changeRules(draft, action, (rules) => rules.map((rule) => (rule.key === key ? change(rule) : rule)))
