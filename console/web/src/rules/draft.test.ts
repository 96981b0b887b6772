import { describe, expect, test } from 'vitest'

import type { Definition, Rule } from '../api/types'
import { definitionOf, draftOf, otherwiseKey, reduce, stateOf, type Change, type State } from './draft'

const rule = (id: string): Rule => ({ id, name: id.toUpperCase(), when: 'true', outcome: 'BLOCK' })

const definition: Definition = {
  fields: [{ name: 'amount', type: 'number' }],
  actions: [{ code: 'payment', default: 'ALLOW', rules: [rule('a'), rule('b'), rule('c')] }],
  otherwise: { code: '', rules: [rule('z')] },
}

const start = (): State => stateOf(draftOf(7, definition))
const after = (...changes: Change[]): State => changes.reduce(reduce, start())
const order = (state: State): string[] => state.draft.actions[0]?.rules.map(({ id }) => id) ?? []

test('a draft without changes is the definition', () => {
  expect(definitionOf(start().draft)).toEqual(definition)
})

test('a definition without fields stays without', () => {
  const { fields: _, ...bare } = definition
  expect(definitionOf(draftOf(1, bare))).toEqual(bare)
})

describe('rules', () => {
  test.each([
    ['up', 'c', 0, ['c', 'a', 'b']],
    ['down', 'a', 2, ['b', 'c', 'a']],
    ['by one', 'a', 1, ['b', 'a', 'c']],
    ['beyond the end', 'a', 99, ['b', 'c', 'a']],
    ['beyond the start', 'c', -5, ['c', 'a', 'b']],
  ])('move %s', (_, key, to, want) => {
    expect(order(after({ type: 'rule/move', action: 'payment', rule: key, to }))).toEqual(want)
  })

  test('moving to the same place is no step', () => {
    const state = start()
    expect(after({ type: 'rule/move', action: 'payment', rule: 'b', to: 1 }).past).toHaveLength(0)
    expect(definitionOf(state.draft)).toEqual(definition)
  })

  test('a new rule challenges, is live and stands last', () => {
    const state = after({ type: 'rule/add', action: 'payment' })
    expect(state.draft.actions[0]?.rules.at(-1)).toMatchObject({ id: 'rule', outcome: 'CHALLENGE', mode: 'live', when: '' })
  })

  test('the id of a new rule follows its name and stays unique in the whole set', () => {
    const state = after(
      { type: 'rule/add', action: 'payment' },
      { type: 'rule/set', action: 'payment', rule: 'new-1', values: { name: 'Z!' } },
    )
    expect(order(state)).toEqual(['a', 'b', 'c', 'z-2'])
  })

  test('an id that somebody set stays when the name changes', () => {
    const state = after(
      { type: 'rule/add', action: 'payment' },
      { type: 'rule/id', action: 'payment', rule: 'new-1', id: 'mine' },
      { type: 'rule/set', action: 'payment', rule: 'new-1', values: { name: 'Other' } },
    )
    expect(order(state)).toContain('mine')
  })

  test('the id of a published rule stays when its name changes', () => {
    expect(order(after({ type: 'rule/set', action: 'payment', rule: 'a', values: { name: 'New name' } }))).toEqual(['a', 'b', 'c'])
  })

  test('a copy stands behind its source, in shadow, with an id of its own', () => {
    const state = after({ type: 'rule/duplicate', action: 'payment', rule: 'a' })
    expect(order(state)).toEqual(['a', 'a-2', 'b', 'c'])
    expect(state.draft.actions[0]?.rules[1]).toMatchObject({ name: 'A (copy)', mode: 'shadow' })
  })

  test('the rules of other actions are edited by the same steps', () => {
    const state = after({ type: 'rule/remove', action: otherwiseKey, rule: 'z' }, { type: 'rule/add', action: otherwiseKey })
    expect(state.draft.otherwise.rules.map(({ id }) => id)).toEqual(['rule'])
  })
})

describe('actions and fields', () => {
  test('an action is added once', () => {
    const state = after({ type: 'action/add', code: 'login' }, { type: 'action/add', code: 'login' })
    expect(state.draft.actions.map(({ code }) => code)).toEqual(['payment', 'login'])
    expect(state.past).toHaveLength(1)
  })

  test('fields are added, changed and removed', () => {
    const state = after(
      { type: 'field/add' },
      { type: 'field/set', field: 'field-1', values: { name: 'payee', type: 'string' } },
      { type: 'field/remove', field: 'field-0' },
    )
    expect(definitionOf(state.draft).fields).toEqual([{ name: 'payee', type: 'string' }])
  })
})

describe('undo', () => {
  const type = (name: string): Change => ({ type: 'rule/set', action: 'payment', rule: 'a', values: { name } })

  test('takes back what was typed in one place in one step', () => {
    const state = after(type('N'), type('Ne'), type('New'), { type: 'undo' })
    expect(definitionOf(state.draft)).toEqual(definition)
  })
  test('takes back a removal', () => {
    const state = after({ type: 'rule/remove', action: 'payment', rule: 'b' }, { type: 'undo' })
    expect(order(state)).toEqual(['a', 'b', 'c'])
  })
  test('takes back discarding', () => {
    const state = after(type('Kept'), { type: 'discard' }, { type: 'undo' })
    expect(state.draft.actions[0]?.rules[0]?.name).toBe('Kept')
  })
  test('without a past changes nothing', () => {
    const state = start()
    expect(reduce(state, { type: 'undo' })).toBe(state)
  })
})

test('rebase keeps the edits and compares with the newer set', () => {
  const newer: Definition = { ...definition, actions: [] }
  const state = after({ type: 'rule/remove', action: 'payment', rule: 'a' }, { type: 'rebase', base: 8, definition: newer })
  expect(state.draft.base).toBe(8)
  expect(state.draft.original).toBe(newer)
  expect(order(state)).toEqual(['b', 'c'])
})

// Every member that package rules knows (definition.go), whether the console edits it or not.
const whole: Definition = {
  fields: [{ name: 'amount', type: 'number', scope: 'action', description: 'Euro', public: true }, { name: 'amount', type: 'number', scope: 'user' }],
  metrics: [{ name: 'paid', description: 'd', function: 'sum', of: 'custom.amount', per: 'user.id', counts: 'actions', where: 'true', window: '24h' }],
  lists: [{ name: 'suspects', type: 'cidr', description: 'd', inactive: true }],
  actions: [
    {
      code: 'payment',
      default: 'ALLOW',
      onFailure: 'CHALLENGE',
      unenrolled: 'enrol',
      userVerification: 'preferred',
      prompt: 'Pay {amount}',
      wire: { templates: '{"en": {}}', methods: '["PASSKEY"]', promptToEnroll: '[]', defaultMethod: '"PASSKEY"', webhook: '""' },
      rules: [
        {
          ...rule('a'),
          description: 'd',
          mode: 'shadow',
          onError: 'match',
          onUnknown: 'match',
          position: 3,
          rollout: 0,
          methods: ['PASSKEY'],
          userVerification: 'required',
          onMatch: { add: 'ip.address', to: 'suspects', for: '24h' },
          tags: ['t'],
          wire: { conditions: '{ "and": [] }', when: 'true', promptToEnroll: '["PASSKEY"]', defaultMethod: '"PASSKEY"' },
        },
        { ...rule('b'), position: 10 },
        { ...rule('c'), position: 11 },
      ],
    },
  ],
  otherwise: { code: '', rules: [] },
  tests: [{ name: 't', action: 'payment', facts: { 'custom.amount': 1, 'ip.address in list.suspects': false }, want: 'ALLOW', rule: 'default' }],
}

describe('what the console does not edit', () => {
  const from = (...changes: Change[]): State => changes.reduce(reduce, stateOf(draftOf(7, whole)))
  const positions = (state: State) => state.draft.actions[0]?.rules.map(({ id, position }) => `${id}:${position}`)

  test('comes back as it was', () => {
    expect(definitionOf(from().draft)).toEqual(whole)
  })
  test('comes back after an edit beside it', () => {
    const state = from({ type: 'rule/set', action: 'payment', rule: 'a', values: { name: 'New name' } }, { type: 'field/set', field: 'field-0', values: { description: 'Cents' } })
    const want = structuredClone(whole)
    want.actions[0]!.rules[0]!.name = 'New name'
    want.fields![0]!.description = 'Cents'
    expect(definitionOf(state.draft)).toEqual(want)
  })
  test('user verification that is said no more is left out', () => {
    const state = from(
      { type: 'rule/set', action: 'payment', rule: 'a', values: { userVerification: undefined } },
      { type: 'action/set', action: 'payment', values: { userVerification: undefined } },
    )
    const want = structuredClone(whole)
    delete want.actions[0]!.userVerification
    delete want.actions[0]!.rules[0]!.userVerification
    expect(definitionOf(state.draft)).toStrictEqual(want)
  })
  test('comes back when the last field is gone, and from storage', () => {
    const state = from({ type: 'field/remove', field: 'field-0' }, { type: 'field/remove', field: 'field-1' })
    const { fields: _, ...want } = whole
    expect(definitionOf(JSON.parse(JSON.stringify(state.draft)) as State['draft'])).toEqual(want)
  })
  test('is the newer set\u2019s after a rebase, since nobody edited it here', () => {
    const newer: Definition = { ...whole, metrics: [], tests: [] }
    const state = from({ type: 'rule/remove', action: 'payment', rule: 'a' }, { type: 'rebase', base: 8, definition: newer })
    expect(definitionOf(state.draft)).toMatchObject({ metrics: [], tests: [], lists: whole.lists })
  })
  test.each<[string, Change, string[]]>([
    ['a rule that moves up', { type: 'rule/move', action: 'payment', rule: 'c', to: 0 }, ['c:3', 'a:10', 'b:11']],
    ['a rule that moves down', { type: 'rule/move', action: 'payment', rule: 'a', to: 2 }, ['b:3', 'c:10', 'a:11']],
    ['a new rule', { type: 'rule/add', action: 'payment' }, ['a:3', 'b:10', 'c:11', 'rule:12']],
    ['a new rule in between', { type: 'rule/add', action: 'payment', at: 2 }, ['a:3', 'b:10', 'rule:11', 'c:12']],
    ['a new rule before all', { type: 'rule/add', action: 'payment', at: 0 }, ['rule:0', 'a:3', 'b:10', 'c:11']],
    ['a copy', { type: 'rule/duplicate', action: 'payment', rule: 'b' }, ['a:3', 'b:10', 'b-2:11', 'c:12']],
    ['a removed rule', { type: 'rule/remove', action: 'payment', rule: 'b' }, ['a:3', 'c:11']],
  ])('positions ascend after %s', (_, change, want) => {
    expect(positions(from(change))).toEqual(want)
  })
  test('rules without positions stay without', () => {
    const state = after({ type: 'rule/move', action: 'payment', rule: 'c', to: 0 }, { type: 'rule/duplicate', action: 'payment', rule: 'a' })
    expect(state.draft.actions[0]?.rules.every((each) => !('position' in each))).toBe(true)
  })
})

describe('a saved draft in the editor', () => {
  const source = { id: 'draft-1', revision: 2, title: 'Ours' }
  const saved: Definition = { ...definition, lists: [{ name: 'suspects', type: 'string' }], otherwise: { code: '', rules: [rule('y')] } }
  const take: Change = { type: 'take', base: 7, original: definition, definition: saved, source }

  test('is compared with the set that it began as, and knows what it is saved as', () => {
    const { draft } = after(take)
    expect(definitionOf(draft)).toEqual(saved)
    expect(draft).toMatchObject({ base: 7, original: definition, source })
  })

  test('gives way to the changes before it by undo', () => {
    const before: Change = { type: 'rule/remove', action: 'payment', rule: 'b' }
    expect(order(after(before, take))).toEqual(['a', 'b', 'c'])
    const { draft } = after(before, take, { type: 'undo' })
    expect(draft.source).toBeUndefined()
    expect(draft.actions[0]?.rules.map(({ id }) => id)).toEqual(['a', 'c'])
  })

  test('keeps its own lists over a newer set, and takes what it left alone', () => {
    const tests = [{ name: 'new', action: 'payment', want: 'BLOCK' as const }]
    const { draft } = after(take, { type: 'rebase', base: 8, definition: { ...definition, lists: [{ name: 'others', type: 'string' }], tests } })
    expect(definitionOf(draft)).toEqual({ ...saved, tests })
    expect(draft).toMatchObject({ base: 8, source })
  })

  test('is no longer edited once its changes are discarded', () => {
    expect(after(take, { type: 'discard' }).draft).toEqual(draftOf(7, definition))
  })
})
