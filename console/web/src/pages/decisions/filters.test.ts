import { describe, expect, test } from 'vitest'

import { parseSearch, stringifySearch } from '../../lib/search'
import { canBeLive, queryOf, rangeLabel, readId, readSearch, withFilters, writeId } from './filters'

const now = Date.parse('2026-11-22T12:00:00Z')

describe('readSearch', () => {
  test.each([
    ['keeps what is valid', '?user=u-1&action=payment&outcome=BLOCK&range=7d', { user: 'u-1', action: 'payment', outcome: 'BLOCK', range: '7d' }],
    ['drops an outcome that does not exist', '?outcome=MAYBE', {}],
    ['drops a range that does not exist', '?range=9y', {}],
    ['drops a range that is a property of every object', '?range=toString', {}],
    ['leaves the default range out', '?range=24h', {}],
    ['lets absolute times win over a preset', '?range=1h&from=2026-11-01T00:00:00Z', { from: '2026-11-01T00:00:00.000Z' }],
    ['drops a time that is none', '?from=yesterday', {}],
    ['drops empty values', '?user=&action=', {}],
    ['keeps an open decision', '?open=u/payment/k', { open: 'u/payment/k' }],
    ['drops an open decision that names none', '?open=u/payment', {}],
    ['ignores names of others', '?__proto__=x&utm=1', {}],
  ])('%s', (_, text, want) => {
    expect(readSearch(parseSearch(text))).toEqual(want)
  })
})

describe('the address', () => {
  test.each([
    ['plain values', { user: 'u-1', range: '1h' }, '?user=u-1&range=1h'],
    ['times without escapes', { from: '2026-11-01T00:00:00.000Z' }, '?from=2026-11-01T00:00:00.000Z'],
    ['characters that end a value', { user: 'a&b=c#d e+f' }, '?user=a%26b%3Dc%23d%20e%2Bf'],
    ['nothing for nothing', { user: '', action: undefined }, ''],
  ])('writes %s and reads them back', (_, search, want) => {
    expect(stringifySearch(search)).toBe(want)
    expect(parseSearch(want)).toEqual(Object.fromEntries(Object.entries(search).filter(([, value]) => value)))
  })

  test.each([
    { user: 'u-1', action: 'payment', key: 'k-1' },
    { user: 'a/b', action: 'change email', key: '100%' },
    { user: 'ü?&=', action: 'x', key: '#' },
  ])('names a decision through any characters: %j', (id) => {
    const search = stringifySearch({ open: writeId(id) })
    expect(readId(parseSearch(search).open ?? '')).toEqual(id)
  })

  test.each(['', 'a', 'a/b', 'a/b/c/d', 'a//c', '%/b/c'])('refuses %j as a decision', (text) => {
    expect(readId(text)).toBeUndefined()
  })
})

describe('withFilters', () => {
  const search = { user: 'u-1', from: '2026-11-01T00:00:00.000Z', open: 'u/p/k' }

  test('a preset replaces absolute times and keeps the rest', () => {
    expect(withFilters(search, { range: '1h' })).toEqual({ user: 'u-1', range: '1h', open: 'u/p/k' })
  })
  test('the default preset replaces them too', () => {
    expect(withFilters(search, { range: '24h' })).toEqual({ user: 'u-1', open: 'u/p/k' })
  })
  test('absolute times replace a preset', () => {
    expect(withFilters({ range: 'all' }, { to: '2026-11-02T00:00:00Z' })).toEqual({ to: '2026-11-02T00:00:00.000Z' })
  })
  test('undefined removes a filter', () => {
    expect(withFilters(search, { user: undefined })).toEqual({ from: '2026-11-01T00:00:00.000Z', open: 'u/p/k' })
  })
})

describe('queryOf', () => {
  test('counts a preset back from now', () => {
    expect(queryOf({ range: '1h', user: 'u' }, now)).toEqual({ user: 'u', from: '2026-11-22T11:00:00.000Z' })
  })
  test('takes 24 hours when nothing is said', () => {
    expect(queryOf({}, now)).toEqual({ from: '2026-11-21T12:00:00.000Z' })
  })
  test('asks for any time without a bound', () => {
    expect(queryOf({ range: 'all' }, now)).toEqual({})
  })
  test('passes absolute times on', () => {
    const filters = { from: '2026-11-01T00:00:00.000Z', to: '2026-11-02T00:00:00.000Z' }
    expect(queryOf(filters, now)).toEqual(filters)
  })
  test('an end alone has no beginning', () => {
    expect(queryOf({ to: '2026-11-02T00:00:00.000Z' }, now)).toEqual({ to: '2026-11-02T00:00:00.000Z' })
  })
})

test('only a range that is not over can be live', () => {
  expect(canBeLive({}, now)).toBe(true)
  expect(canBeLive({ to: '2026-11-23T00:00:00Z' }, now)).toBe(true)
  expect(canBeLive({ to: '2026-11-22T00:00:00Z' }, now)).toBe(false)
})

test('rangeLabel says the time in words', () => {
  const day = (time: string) => time.slice(0, 10)
  expect(rangeLabel({}, day)).toBe('Last 24 hours')
  expect(rangeLabel({ range: 'all' }, day)).toBe('Any time')
  expect(rangeLabel({ from: '2026-11-01T00:00:00Z' }, day)).toBe('Since 2026-11-01')
  expect(rangeLabel({ from: '2026-11-01T00:00:00Z', to: '2026-11-03T00:00:00Z' }, day)).toBe('2026-11-01 to 2026-11-03')
})
