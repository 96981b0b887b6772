import { expect, test } from 'vitest'

import { freeId, slug } from './ids'

test.each([
  ['New payee, large amount', 'new-payee-large-amount'],
  ['  Über 1.000 € ', 'uber-1-000'],
  ['中文', ''],
  ['x'.repeat(80), 'x'.repeat(64)],
])('slug(%j) is %j', (name, want) => {
  expect(slug(name)).toBe(want)
})

test.each([
  ['a', [], 'a'],
  ['a', ['a'], 'a-2'],
  ['a', ['a', 'a-2'], 'a-3'],
  ['x'.repeat(64), ['x'.repeat(64)], `${'x'.repeat(62)}-2`],
])('freeId(%j, %j) is %j', (wanted, taken, want) => {
  expect(freeId(wanted, taken)).toBe(want)
})
