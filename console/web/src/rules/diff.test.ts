import { describe, expect, test } from 'vitest'

import type { Definition, Rule } from '../api/types'
import { countChanges, diff, inOrder } from './diff'

const rule = (id: string, more: Partial<Rule> = {}): Rule => ({ id, name: id, when: 'true', outcome: 'BLOCK', ...more })
const set = (rules: Rule[], more: Partial<Definition> = {}): Definition => ({
  actions: [{ code: 'payment', rules }],
  otherwise: { code: '', rules: [] },
  ...more,
})
const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((id) => rule(id)) as [Rule, Rule, Rule, Rule]

const lines = (before: Definition, after: Definition) =>
  diff(before, after).flatMap((group) => group.entries.map((entry) => `${group.action ?? group.part}: ${entry.kind} ${entry.subject} ${entry.id}`))

describe('diff', () => {
  test.each<[string, Definition, Definition, string[]]>([
    ['nothing', set([a, b]), set([a, b]), []],
    ['an added rule', set([a]), set([a, b]), ['payment: added rule b']],
    ['a removed rule', set([a, b]), set([b]), ['payment: removed rule a']],
    ['one rule moved down as one move', set([a, b, c, d]), set([b, c, d, a]), ['payment: moved rule a']],
    ['one rule moved up as one move', set([a, b, c, d]), set([d, a, b, c]), ['payment: moved rule d']],
    ['no move when a rule above is removed', set([a, b, c]), set([b, c]), ['payment: removed rule a']],
    ['a changed rule', set([a, b]), set([a, rule('b', { when: 'false' })]), ['payment: changed rule b']],
    ['written defaults as no change', set([a]), set([rule('a', { mode: 'live', onError: 'fail', onUnknown: 'no-match' })]), []],
    [
      'settings of an action',
      set([a]),
      { ...set([a]), actions: [{ code: 'payment', default: 'BLOCK', rules: [a] }] },
      ['payment: changed action payment'],
    ],
    ['an added action with its rules', set([]), { ...set([]), actions: [...set([]).actions, { code: 'login', rules: [a] }] }, ['login: added action login', 'login: added rule a']],
    ['a removed action with its rules', set([a]), { ...set([]), actions: [] }, ['payment: removed action payment', 'payment: removed rule a']],
    ['rules of other actions', set([]), set([], { otherwise: { code: '', rules: [a] } }), [': added rule a']],
    [
      'fields',
      set([], { fields: [{ name: 'x', type: 'string' }, { name: 'y', type: 'string' }] }),
      set([], { fields: [{ name: 'y', type: 'number' }, { name: 'z', type: 'string' }] }),
      ['fields: changed field custom.y', 'fields: added field custom.z', 'fields: removed field custom.x'],
    ],
    [
      'fields of one name and two scopes',
      set([], { fields: [{ name: 'tier', type: 'string' }] }),
      set([], { fields: [{ name: 'tier', type: 'string' }, { name: 'tier', type: 'string', scope: 'user' }] }),
      ['fields: added field user.custom.tier'],
    ],
    [
      'metrics, lists and tests',
      set([], { metrics: [{ name: 'm', function: 'count', window: '1h' }], lists: [{ name: 'l', type: 'string' }], tests: [{ name: 't', action: 'payment', want: 'ALLOW' }] }),
      set([], { metrics: [{ name: 'm', function: 'count', window: '2h', per: 'user.id', counts: 'actions' }], lists: [{ name: 'k', type: 'cidr' }], tests: [] }),
      ['metrics: changed metric m', 'lists: added list k', 'lists: removed list l', 'tests: removed test t'],
    ],
    [
      'what a rule does besides',
      set([a, b, c]),
      set([rule('a', { rollout: 10 }), rule('b', { methods: ['PASSKEY'] }), rule('c', { onMatch: { add: 'ip.address', to: 'suspects', for: '24h' } })]),
      ['payment: changed rule a', 'payment: changed rule b', 'payment: changed rule c'],
    ],
  ])('finds %s', (_, before, after, want) => {
    expect(lines(before, after)).toEqual(want)
    expect(countChanges(diff(before, after))).toBe(want.length)
  })

  test('tells the user verification of a rule and of an action', () => {
    const before = set([a])
    const after: Definition = { ...before, actions: [{ code: 'payment', userVerification: 'preferred', rules: [rule('a', { userVerification: 'required' })] }] }
    expect(diff(before, after)[0]?.entries.map(({ subject, values }) => ({ subject, values }))).toEqual([
      { subject: 'action', values: [{ label: 'User verification', before: '', after: 'preferred' }] },
      { subject: 'rule', values: [{ label: 'User verification', before: '', after: 'required' }] },
    ])
  })

  test('a rule that changed and moved is one entry with both', () => {
    const changed = rule('c', { outcome: 'ALLOW' })
    expect(diff(set([a, b, c]), set([changed, a, b]))[0]?.entries).toEqual([
      { kind: 'changed', subject: 'rule', id: 'c', name: 'c', from: 3, to: 1, values: [{ label: 'Outcome', before: 'BLOCK', after: 'ALLOW' }] },
    ])
  })
})

test.each([
  [[], []],
  [[0, 1, 2], [0, 1, 2]],
  [[2, 0, 1], [1, 2]],
  [[1, 2, 3, 0], [0, 1, 2]],
  [[3, 1, 2, 0, 4], [1, 2, 4]],
])('inOrder(%j) keeps %j', (numbers, want) => {
  expect([...inOrder(numbers)].sort()).toEqual(want)
})
