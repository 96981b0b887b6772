import { describe, expect, test } from 'vitest'

import { complete, readable, tokens } from './cel'

const facts = readable(
  [
    { name: 'ip.countryCode', type: 'string', group: 'ip', doc: 'Country.' },
    { name: 'user.ageHours', type: 'number', group: 'user', doc: '' },
    { name: 'now', type: 'timestamp', group: 'now', doc: '' },
  ],
  [{ name: 'amount', type: 'number' }, { name: 'tier', type: 'string', scope: 'user' }, { name: '', type: 'string' }],
)

describe('tokens', () => {
  test.each([
    ['ip.countryCode != "US" && custom.amount > 1000.5', 'fact punctuation fact operator string operator fact punctuation fact operator number'],
    ['known(device.id) ? true : false', 'function punctuation fact punctuation fact punctuation operator keyword operator keyword'],
    [String.raw`user.id == "a\"b" // note`, 'fact punctuation fact operator string comment'],
    [String.raw`r"\d+" == '''a"b'''`, 'string operator string'],
    ['x in ["a", 1u]', 'fact keyword punctuation string punctuation number punctuation'],
    ['"not closed', 'string'],
    ['inside', 'fact'],
  ])('of %s', (text, want) => {
    const found = tokens(text)
    expect(found.filter(({ kind }) => kind !== 'space').map(({ kind }) => kind).join(' ')).toBe(want)
    expect(found.map((token) => token.text).join('')).toBe(text)
  })

  test.each(['', '§ ü \u0000 """', '&& || | & = ! @#$', '1.2.3e+', '\\'])('joined are the text again: %j', (text) => {
    expect(tokens(text).map((token) => token.text).join('')).toBe(text)
  })
})

describe('complete', () => {
  const labels = (text: string, asked = false) => complete(text, facts, asked)?.options.map(({ label }) => label) ?? null

  test('offers facts and functions for a word that begins', () => {
    expect(labels('ip')).toEqual(expect.arrayContaining(['ip.countryCode', 'custom.amount', 'known']))
  })
  test('offers a field by whose value it is', () => {
    expect(labels('user.cu')).toContain('user.custom.tier')
  })
  test('replaces the whole path', () => {
    expect(complete('true && ip.co', facts, false)?.from).toBe(8)
  })
  test('offers no functions behind a dot of a group', () => {
    expect(labels('ip.')).not.toContain('known')
  })
  test('offers what a text can do behind a text', () => {
    expect(labels('ip.countryCode.')).toContain('startsWith')
  })
  test('offers nothing behind a number', () => {
    expect(labels('user.ageHours.')).toBeNull()
  })
  test.each(['ip.countryCode == "U', '1', 'x // ip', ''])('offers nothing in %j', (text) => {
    expect(labels(text)).toBeNull()
  })
  test('offers everything when asked', () => {
    expect(labels('', true)).toContain('now')
    expect(labels('ip.countryCode == "US" && ', true)).toContain('now')
  })
  test('leaves out fields without a name', () => {
    expect(facts.map(({ label }) => label)).not.toContain('custom.')
  })
})
