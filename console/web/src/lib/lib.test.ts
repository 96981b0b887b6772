import { describe, expect, test } from 'vitest'

import { compareWords } from './compare'
import { agentName, ago, between, clock, count, countryName, micros } from './format'
import { inviteIn } from './invite'
import { maskAddress, maskEmail, maskFact } from './mask'
import { authorName } from './words'

const now = Date.parse('2026-11-22T12:00:00Z')

test.each([
  [0, 'just now'],
  [-4_000, 'just now'],
  [-30_000, '30 s ago'],
  [-90_000, '1 min ago'],
  [-5 * 3_600_000, '5 h ago'],
  [-86_400_000, '1 day ago'],
  [-14 * 86_400_000, '14 days ago'],
  [-400 * 86_400_000, '1 year ago'],
  [60_000, 'in 1 min'],
])('ago %d ms is %s', (offset, want) => {
  expect(ago(now + offset, now)).toBe(want)
})

test('clock leaves the day out today', () => {
  const today = new Date(now)
  today.setHours(9, 5, 7)
  const earlier = new Date(today)
  earlier.setDate(1)
  expect(clock(today.toISOString(), now)).toBe('09:05:07')
  expect(clock(earlier.toISOString(), now)).toBe('1 Nov 09:05:07')
})

test.each([
  ['2026-11-22T12:00:00.250Z', '+250 ms'],
  ['2026-11-22T12:00:03.24Z', '+3.2 s'],
  ['2026-11-22T12:00:42Z', '+42 s'],
  ['2026-11-22T12:05:00Z', '+5 min'],
  ['2026-11-22T15:00:00Z', '+3 h'],
  ['2026-11-25T12:00:00Z', '+3 d'],
  ['2026-11-22T11:59:59Z', '−1.0 s'],
])('between is %s for %s', (to, want) => {
  expect(between('2026-11-22T12:00:00Z', to)).toBe(want)
})

test.each([
  [412, '412 µs'],
  [1_840, '1.8 ms'],
  [42_000, '42 ms'],
  [1_500_000, '1.5 s'],
])('micros(%d) is %s', (n, want) => {
  expect(micros(n)).toBe(want)
})

test('count takes the noun with it', () => {
  expect([count(0, 'rule'), count(1, 'rule'), count(1234, 'rule')]).toEqual(['0 rules', '1 rule', '1,234 rules'])
})

test('countryName survives codes that are none', () => {
  expect(countryName('DE')).toBe('Germany')
  expect(countryName('not a code')).toBe('not a code')
})

test.each([
  ['Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile/15E Safari/604.1', 'Safari, iOS'],
  ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0', 'Edge, Windows'],
  ['Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36', 'Chrome, Android'],
  ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/156.0 Safari/537.36', 'Headless Chrome, Linux'],
  ['curl/8.5.0', 'curl'],
  ['Mozilla/5.0', ''],
  ['', ''],
])('agentName(%j) is %j', (agent, want) => {
  expect(agentName(agent)).toBe(want)
})

describe('mask', () => {
  test.each([
    [maskAddress('203.0.113.77'), '203.0.•.•'],
    [maskAddress('2001:db8:1::77'), '2001:db8:•'],
    [maskAddress('::1'), '1:•'],
    [maskEmail('maria@example.com'), 'm•••@example.com'],
    [maskEmail('nonsense'), '•••se'],
    [maskFact('user.email', 'a@b.de'), 'a•••@b.de'],
    [maskFact('custom.amount', '100'), '100'],
  ])('%s', (got, want) => {
    expect(got).toBe(want)
  })
})

test.each([
  ['http://h/console/register#invite=abc', 'abc'],
  ['http://h/console/register?invite=abc', 'abc'],
  ['http://h/console/register#invite=', undefined],
  ['http://h/console/decisions?user=1', undefined],
])('inviteIn(%s) is %s', (address, want) => {
  expect(inviteIn(address)).toBe(want)
})

describe('compareWords', () => {
  test.each([
    ['a > 1', 'a > 1', '=a > 1'],
    ['a > 1', 'a > 2', '=a > |-1|+2'],
    ['', 'x', '+x'],
    ['x', '', '-x'],
    ['a && b', 'a && c && b', '=a && |+c && |=b'],
  ])('%j to %j', (before, after, want) => {
    const marks = { same: '=', removed: '-', added: '+' }
    expect(compareWords(before, after).map(({ kind, text }) => marks[kind] + text).join('|')).toBe(want)
  })
})

test.each([
  ['operator:abc', 'Olga'],
  ['operator:def', 'Jonas'],
  ['operator:0123456789', 'Operator 012345'],
  ['management', 'The management API'],
  ['somebody else', 'somebody else'],
])('the author %s is called %s', (author, want) => {
  expect(authorName(author, { id: 'abc', name: 'Olga' }, { def: 'Jonas' })).toBe(want)
})
