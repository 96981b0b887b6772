import { expect, test } from 'vitest'

import { readRulesSearch, viewOf } from './search'

test.each([
  [{}, undefined],
  [{ view: 'fields' }, 'fields'],
  [{ view: 'drafts' }, 'drafts'],
  [{ draft: 'draft-1' }, 'drafts'],
  [{ set: '12' }, 'history'],
  [{ view: 'elsewhere' }, undefined],
])('the address %j shows the view %s', (search, want) => {
  expect(viewOf(readRulesSearch(search))).toBe(want)
})

test.each(['0', '-1', '1.5', 'x', '1e3', '99999999999'])('the number %s names no set', (set) => {
  expect(readRulesSearch({ set })).toEqual({})
})
