import { expect, test } from 'vitest'

import { draftOf } from './draft'
import { placeName, placeOf, rangeOf } from './problems'

const draft = draftOf(1, {
  fields: [{ name: 'amount', type: 'number' }],
  actions: [{ code: 'payment', rules: [{ id: 'large', name: 'Large', when: 'x', outcome: 'BLOCK' }] }],
  otherwise: { code: '', rules: [{ id: 'rest', name: 'Rest', when: 'y', outcome: 'BLOCK' }] },
})

test.each([
  ['actions[0].rules[0].when', undefined, { action: 'payment', rule: 'large', member: 'when' }, 'payment: Large'],
  ['actions[0].rules[0]', undefined, { action: 'payment', rule: 'large' }, 'payment: Large'],
  ['actions[0].code', undefined, { action: 'payment', member: 'code' }, 'payment'],
  ['otherwise.rules[0].when', undefined, { action: '*', rule: 'rest', member: 'when' }, 'Other actions: Rest'],
  ['otherwise.default', undefined, { action: '*', member: 'default' }, 'Other actions'],
  ['fields[0].name', undefined, { field: 'field-0', member: 'name' }, 'Field amount'],
  ['', 'rest', { action: '*', rule: 'rest' }, 'Other actions: Rest'],
  ['actions[9].rules[0].when', undefined, {}, 'The rule set'],
  ['', undefined, {}, 'The rule set'],
])('a problem at %j of rule %j is found', (field, rule, want, name) => {
  const place = placeOf({ message: 'm', field, ...(rule === undefined ? {} : { rule }) }, draft)
  expect(place).toEqual(want)
  expect(placeName(place, draft)).toBe(name)
})

test.each([
  ['the whole text without a line', 'a && b', undefined, undefined, 'a && b'],
  ['a word', 'a && contry == "x"', 1, 6, 'contry'],
  ['a whole path', 'a && ip.contry == "x"', 1, 6, 'ip.contry'],
  ['a word on a later line', 'true &&\n  foo', 2, 3, 'foo'],
  ['a text literal', 'a == "some text"', 1, 6, '"some text"'],
  ['an operator', 'a === b', 1, 3, '='],
  ['the character before the end', 'a &&', 1, 5, '&'],
  ['the last line when there are fewer', 'abc', 7, 1, 'abc'],
  ['nothing in nothing', '', 1, 1, ''],
])('rangeOf underlines %s', (_, text, line, column, want) => {
  const { from, to } = rangeOf(text, line, column)
  expect(text.slice(from, to)).toBe(want)
})
