import { describe, expect, test } from 'vitest'

import { approving, publishing, standing, type Situation } from './steps'

const olga = { id: 'o', name: 'Olga', role: 'analyst' } as const
const jonas = { id: 'j', name: 'Jonas', role: 'administrator' } as const
const draft = { base: 3, revision: 2, authors: ['operator:o', 'management'], approvals: [], approved: false }
const approved = { ...draft, approvals: [{ by: 'operator:j', at: '2026-11-22T10:00:00Z' }], approved: true }

const situation = (change: Partial<Situation> = {}): Situation => ({ draft, current: 3, approvalRequired: true, operator: jonas, problems: 0, failedTests: 0, ...change })

describe('a draft', () => {
  test.each([
    ['waits where approval is required', draft, 3, true, 'waiting'],
    ['is ready where it is not', draft, 3, false, 'ready'],
    ['is approved', approved, 3, true, 'approved'],
    ['is outdated when another set was published, approved or not', approved, 4, true, 'outdated'],
  ] as const)('%s', (_, head, current, required, want) => {
    expect(standing(head, current, required)).toBe(want)
  })
})

describe('approving', () => {
  test('is offered to somebody who did not work on it', () => {
    expect(approving(situation())).toEqual({ offered: true })
  })
  test.each([
    ['not to an author', { operator: olga }, /somebody else/],
    ['not to a reviewer', { operator: { ...jonas, role: 'reviewer' } }, /analyst/],
    ['not twice', { draft: approved }, /You approved/],
    ['not when it cannot be published any more', { current: 4 }, /set 4 is in force/],
    ['not where nobody asks for it', { approvalRequired: false }, /nobody’s approval/],
  ] as const)('is offered %s', (_, change, reason) => {
    expect(approving(situation(change))).toEqual({ offered: false, reason: expect.stringMatching(reason) })
  })
})

describe('publishing', () => {
  test('is offered to an author once somebody else approved it', () => {
    expect(publishing(situation({ draft: approved, operator: olga }))).toEqual({ offered: true })
  })
  test('needs no approval where none is required', () => {
    expect(publishing(situation({ approvalRequired: false, operator: olga }))).toEqual({ offered: true })
  })
  test.each([
    ['approval', {}, /approve it first/],
    ['the role', { draft: approved, operator: { ...olga, role: 'reviewer' } }, /analyst/],
    ['the newest set as its base', { draft: approved, current: 5 }, /based on set 3, and set 5/],
    ['a set without problems', { draft: approved, problems: 1 }, /problems/],
    ['tests that pass', { draft: approved, failedTests: 1 }, /test fails/],
    ['the answer of the check', { draft: approved, problems: undefined }, /not checked/],
    ['the results of the tests', { draft: approved, failedTests: undefined }, /not checked/],
  ] as const)('waits for %s', (_, change, reason) => {
    expect(publishing(situation(change))).toEqual({ offered: false, reason: expect.stringMatching(reason) })
  })
})
