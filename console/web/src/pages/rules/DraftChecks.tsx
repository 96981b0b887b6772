import { Loader } from '@mantine/core'
import type { ReactNode } from 'react'

import type { Finding, Problem, TestResult } from '../../api/types'
import { Check as CheckMark, Cross, Warning } from '../../components/icons'
import { Outcome } from '../../components/Outcome'
import { count } from '../../lib/format'
import type { Draft } from '../../rules/draft'
import { placeName, placeOf } from '../../rules/problems'
import classes from './Drafts.module.css'

// A set may hold thousands of each; nobody reads more.
const shown = 100

type Tone = 'good' | 'bad' | 'warning' | 'plain'

const icons = { good: CheckMark, bad: Cross, warning: Warning, plain: CheckMark } as const

export function Row({ tone, children, side }: { tone: Tone; children: ReactNode; side?: ReactNode }) {
  const Icon = icons[tone]
  return (
    <li className={classes.row} data-tone={tone}>
      <Icon size={16} />
      <span>{children}</span>
      {side !== undefined && <span className={classes.side}>{side}</span>}
    </li>
  )
}

/** What keeps a set from being published, and what is probably not meant. */
export function Findings({ problems, findings, set }: { problems: readonly Problem[]; findings: readonly Finding[]; set: Draft }) {
  const places = problems.map((problem) => ({ text: problem.message, place: placeName(placeOf(problem, set), set), tone: 'bad' as const }))
  const hints = findings.map(({ path, rule, message }) => ({
    text: message,
    place: placeName(placeOf({ message, ...(path === undefined ? {} : { field: path }), ...(rule === undefined ? {} : { rule }) }, set), set),
    tone: 'warning' as const,
  }))
  const all = [...places, ...hints]
  return (
    <>
      <ul className={classes.box}>
        {problems.length === 0 && <Row tone="good">No problems</Row>}
        {all.slice(0, shown).map(({ text, place, tone }, i) => (
          <Row key={i} tone={tone}>
            <span className={classes.where}>{place}</span>: {text}
          </Row>
        ))}
      </ul>
      {all.length > shown && <p className={classes.more}>and {count(all.length - shown, 'more', 'more')}</p>}
    </>
  )
}

/** The results of a set's own tests, those that failed first. */
export function TestResults({ tests }: { tests: readonly TestResult[] }) {
  if (tests.length === 0) return <p className={classes.plain}>The set holds no tests.</p>
  const ordered = tests.toSorted((a, b) => Number(a.passed) - Number(b.passed))
  return (
    <>
      <ul className={classes.box}>
        {ordered.slice(0, shown).map((test) => (
          <Row key={test.name} tone={test.passed ? 'good' : 'bad'} side={<Outcome value={test.passed ? test.want : test.got} />}>
            <span className={classes.where}>{test.name}</span> <span className="dim">{test.action}</span>
            {!test.passed && (
              <>
                <br />
                {test.message || `It should end with ${test.want}.`}
              </>
            )}
          </Row>
        ))}
      </ul>
      {tests.length > shown && <p className={classes.more}>and {count(tests.length - shown, 'more', 'more')}</p>}
    </>
  )
}

export const Waiting = ({ label }: { label: string }) => <Loader size="sm" aria-label={label} />
