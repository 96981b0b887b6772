import { describe, expect, test } from 'vitest'

import type { Decision } from '../../api/types'
import { authorName, stateWords } from '../../lib/words'
import { factText, groupFacts } from './facts'
import { shortWhy, why } from './sentences'

type Asked = Parameters<typeof why>[0]

const base: Asked = { outcome: 'CHALLENGE', state: 'CHALLENGE_REQUIRED', reason: 'rule', action: 'payment', set: 3, matches: [] }

describe('why', () => {
  test.each<[string, Partial<Asked>, string]>([
    ['names the rule', { ruleName: 'Large payment', rule: 'large' }, 'Challenged because the rule “Large payment” matched.'],
    ['takes the id of a rule without a name', { ruleName: '', rule: 'large' }, 'Challenged because the rule “large” matched.'],
    ['names the default', { reason: 'default', outcome: 'ALLOW' }, 'Allowed because no live rule matched: this is the default for payment.'],
    [
      'says that shadow rules do not count',
      { reason: 'default', outcome: 'ALLOW', matches: [{ id: 'a', name: 'A', outcome: 'BLOCK', mode: 'shadow', result: 'matched' }] },
      'Allowed because no live rule matched: this is the default for payment. Shadow rules that matched do not count.',
    ],
    ['says what the policy did', { reason: 'enrolment-policy', state: 'ALLOW', ruleName: 'Large' }, 'The rule “Large” asks for a challenge, but the person has no passkey: the policy let the action go ahead.'],
    ['says it without a rule', { reason: 'enrolment-policy', state: 'REVIEW_FAILED' }, 'The default for payment is a challenge, but the person has no passkey: the policy sent the action to review.'],
    ['says that the person enrolled first', { reason: 'enrolment-policy', state: 'CHALLENGE_SUCCEEDED', ruleName: 'Large' }, 'The rule “Large” asks for a challenge, but the person has no passkey: the policy had the person create one first.'],
    ['explains signing in', { reason: 'sign-in' }, 'Challenged because the person proves themselves with this very action.'],
    ['explains a failure', { reason: 'fail-mode', outcome: 'REVIEW' }, 'Sent to review because the rules could not decide (a rule failed or a signal was late): this is the failure outcome for payment.'],
    ['explains a passkey change', { reason: 'management' }, 'Challenged because changing passkeys always asks for proof from somebody who has one.'],
  ])('%s', (_, part, want) => {
    expect(why({ ...base, ...part })).toBe(want)
  })

  test('names the rule behind a policy', () => {
    expect(shortWhy({ reason: 'enrolment-policy', ruleName: 'Large' })).toBe('Large, no passkey')
  })

  test('has short words for every reason', () => {
    const reasons: Decision['reason'][] = ['rule', 'default', 'fail-mode', 'enrolment-policy', 'management', 'sign-in']
    for (const reason of reasons) expect(shortWhy({ reason })).not.toBe('')
  })
})

test.each([
  ['CHALLENGE_SUCCEEDED', 'CHALLENGE', 'passed'],
  ['ALLOW', 'ALLOW', ''],
  ['ALLOW', 'CHALLENGE', 'let through'],
  ['BLOCK', 'CHALLENGE', 'blocked'],
  ['REVIEW_REQUIRED', 'CHALLENGE', 'in review'],
  ['CHALLENGE_FAILED', undefined, 'failed'],
] as const)('the state %s beside %s reads %j', (state, outcome, want) => {
  expect(stateWords(state, outcome).label).toBe(want)
})

test.each([
  ['operator:op1', 'Ada'],
  ['operator:SOMEBODYELSE', 'Operator SOMEBO'],
  ['sallyport', 'Sallyport'],
  ['Jun Sato', 'Jun Sato'],
])('the author %s reads %s', (author, want) => {
  expect(authorName(author, { id: 'op1', name: 'Ada' })).toBe(want)
})

test('groupFacts puts what the application sent first and keeps unknown groups', () => {
  const fact = (name: string) => ({ name, type: 'string', known: false })
  const groups = groupFacts(['user.id', 'geo.city', 'custom.amount', 'user.email', 'now'].map(fact))
  expect(groups.map(({ name, facts }) => [name, facts.length])).toEqual([['custom', 1], ['user', 2], ['now', 1], ['geo', 1]])
})

test.each([
  [true, 'yes'],
  [false, 'no'],
  [0, '0'],
  [1234567.89, '1234567.89'],
  [0.0003238666764138, '0.000324'],
  [0.0019738195491666665, '0.00197'],
  [25.00197381954, '25.002'],
  ['', '(empty)'],
  ['DE', 'DE'],
])('factText writes %j as %s', (value, want) => {
  expect(factText({ name: 'x', type: 'string', known: true, value })).toBe(want)
})

test('factText keeps what the application sent', () => {
  expect(factText({ name: 'custom.rate', type: 'double', known: true, value: 25.001974 })).toBe('25.001974')
})
