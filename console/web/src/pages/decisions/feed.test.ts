import { describe, expect, test } from 'vitest'

import type { Decision, DecisionPage, State } from '../../api/types'
import { absorb, compare, fresh, leavesGap, rowsOf } from './feed'

const decision = (seq: number, state: State = 'ALLOW', epoch = '00000000000000aa'): Decision => ({
  position: `${epoch}-${seq}`,
  time: new Date(1_800_000_000_000 + seq).toISOString(),
  user: 'u',
  action: 'payment',
  key: `k-${seq}`,
  outcome: 'ALLOW',
  state,
  reason: 'default',
  set: 1,
  enrolled: false,
  micros: 10,
  matches: [],
})

const page = (seqs: number[], next?: string): DecisionPage => ({
  decisions: seqs.map((seq) => decision(seq)),
  source: 'archive',
  ...(next === undefined ? {} : { next }),
})

const seqs = (pages: DecisionPage[]) => rowsOf(pages).map(({ position }) => Number(position.split('-')[1]))

describe('compare', () => {
  test('puts later times first, however many digits they have', () => {
    const late = { ...decision(1), time: '2026-11-22T10:00:00.12Z' }
    const early = { ...decision(2), time: '2026-11-22T10:00:00.1Z' }
    expect(compare(late, early)).toBeLessThan(0)
  })
  test('puts the higher number first at the same time', () => {
    const time = '2026-11-22T10:00:00Z'
    expect(compare({ ...decision(10), time }, { ...decision(9), time })).toBeLessThan(0)
  })
})

describe('absorb', () => {
  test('puts new decisions on top and keeps the cursor of what follows', () => {
    const next = absorb([page([3, 2], 'c'), page([1])], page([5, 4, 3], 'd'), false)
    expect(seqs(next)).toEqual([5, 4, 3, 2, 1])
    expect(next[0]?.next).toBe('c')
  })
  test('changes nothing, not even the array, when nothing is new', () => {
    const pages = [page([3, 2])]
    expect(absorb(pages, page([3, 2]), false)).toBe(pages)
  })
  test('fills an empty list', () => {
    expect(seqs(absorb([page([])], page([2, 1]), false))).toEqual([2, 1])
  })
  test('brings states up to date while held, and no rows', () => {
    const head: DecisionPage = { decisions: [decision(4), decision(3, 'CHALLENGE_SUCCEEDED')], source: 'archive' }
    const next = absorb([page([3, 2])], head, true)
    expect(seqs(next)).toEqual([3, 2])
    expect(next[0]?.decisions[0]?.state).toBe('CHALLENGE_SUCCEEDED')
  })
  test('starts the list again rather than leave a gap', () => {
    expect(seqs(absorb([page([3, 2], 'c')], page([9, 8], 'd'), false))).toEqual([9, 8])
  })
  test('keeps the list over a gap while held', () => {
    const pages = [page([3, 2], 'c')]
    expect(absorb(pages, page([9, 8], 'd'), true)).toBe(pages)
  })
  test('takes over the source', () => {
    expect(absorb([page([1])], { ...page([1]), source: 'log' }, true)[0]?.source).toBe('log')
  })
})

test('fresh holds what is newer than the list', () => {
  expect(fresh([page([3, 2])], page([5, 4, 3])).map(({ key }) => key)).toEqual(['k-5', 'k-4'])
})

test('a head that ends without a further page leaves no gap', () => {
  expect(leavesGap([page([3])], page([9, 8]))).toBe(false)
})

test('rowsOf shows a decision once that stands on two pages', () => {
  expect(seqs([page([3, 2]), page([2, 1])])).toEqual([3, 2, 1])
})
