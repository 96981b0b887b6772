import { ActionIcon, Button, Loader, Tooltip } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, type ReactNode } from 'react'

import { ApiError } from '../../api/client'
import { decisionQuery, type DecisionId } from '../../api/queries'
import type { DecisionDetail } from '../../api/types'
import { CopyButton } from '../../components/CopyButton'
import * as Icons from '../../components/icons'
import { Blank, ErrorNotice, Notice } from '../../components/Notice'
import { Outcome, StateNote } from '../../components/Outcome'
import { Ago } from '../../components/Time'
import { fullTime, micros } from '../../lib/format'
import { isOpen, stateWords } from '../../lib/words'
import { FactTable } from './FactTable'
import type { ChangeFilters } from './FilterBar'
import { MatchTable } from './MatchTable'
import { why } from './sentences'
import { Timeline } from './Timeline'
import classes from './DecisionPanel.module.css'

interface Props {
  id: DecisionId
  onClose: () => void
  onFilter: ChangeFilters
  onNext: (() => void) | undefined
  onPrevious: (() => void) | undefined
}

/** One decision: what, why, what happened since, and everything that was known. */
export function DecisionPanel({ id, onClose, onFilter, onNext, onPrevious }: Props) {
  const detail = useQuery({
    ...decisionQuery(id),
    // The story of a waiting challenge goes on while somebody looks at it.
    refetchInterval: ({ state }) => (state.data !== undefined && isOpen(state.data.decision.state) ? 2000 : false),
  })
  const panel = useRef<HTMLElement>(null)
  useEffect(() => panel.current?.focus({ preventScroll: true }), [])
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && !event.defaultPrevented && panel.current?.contains(document.activeElement)) onClose()
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [onClose])

  return (
    <section ref={panel} tabIndex={-1} className={classes.panel} aria-label={`Decision about ${id.action} by ${id.user}`}>
      <header className={classes.bar}>
        <Step label="Previous decision" hint="k" onClick={onPrevious}>
          <Icons.Up size={15} />
        </Step>
        <Step label="Next decision" hint="j" onClick={onNext}>
          <Icons.Down size={15} />
        </Step>
        <span className={classes.barTitle}>Decision</span>
        <Tooltip label="Close (Esc)">
          <ActionIcon aria-label="Close the decision" onClick={onClose}>
            <Icons.Cross />
          </ActionIcon>
        </Tooltip>
      </header>
      <div className={classes.body}>
        {detail.data !== undefined ?
          <Content detail={detail.data} onFilter={onFilter} />
        : detail.isPending ?
          <div className={classes.wait}>
            <Loader size="sm" aria-label="Loading the decision" />
          </div>
        : <Missing error={detail.error} onRetry={() => void detail.refetch()} />}
      </div>
    </section>
  )
}

function Step({ label, hint, onClick, children }: { label: string; hint: string; onClick: (() => void) | undefined; children: ReactNode }) {
  return (
    <Tooltip label={`${label} (${hint})`}>
      <ActionIcon aria-label={label} {...(onClick === undefined ? { 'aria-disabled': true, 'data-disabled': true } : { onClick })}>
        {children}
      </ActionIcon>
    </Tooltip>
  )
}

function Missing({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  if (error instanceof ApiError && error.status === 404) {
    return (
      <Blank title="This decision is not here">
        <span>It is older than what Sallyport keeps, or the address is not whole.</span>
      </Blank>
    )
  }
  return (
    <div className={classes.section}>
      <ErrorNotice title="The decision could not be loaded." error={error} onRetry={onRetry} />
    </div>
  )
}

function Content({ detail, onFilter }: { detail: DecisionDetail; onFilter: ChangeFilters }) {
  const { decision, facts, steps } = detail
  return (
    <>
      <div className={classes.top}>
        <div className={classes.verdict}>
          <Outcome value={decision.outcome} large />
          <StateNote state={decision.state} outcome={decision.outcome} />
          <span className={classes.when} title={fullTime(decision.time)}>
            <Ago time={decision.time} />
          </span>
        </div>
        <p className={classes.why}>{why(decision)}</p>
        <p className={classes.state}>{stateWords(decision.state).sentence}</p>
        <dl className={classes.ids}>
          <Id name="Action" value={decision.action} onFilter={() => onFilter({ action: decision.action })} />
          <Id name="User" value={decision.user} onFilter={() => onFilter({ user: decision.user })} />
          <Id name="Key" value={decision.key} />
          <div className={classes.id}>
            <dt>Rule set</dt>
            <dd>
              {decision.set}
              <span className="dim">
                , decided in {micros(decision.micros)}, {decision.enrolled ? 'person has a passkey' : 'person had no passkey'}
              </span>
            </dd>
          </div>
        </dl>
      </div>
      {detail.source === 'log' && (
        <div className={classes.section}>
          <Notice>From the log of the last 30 days: the archive is off or not up to date.</Notice>
        </div>
      )}
      <Section title="Rules that spoke" count={decision.matches.length}>
        <MatchTable matches={decision.matches} decision={decision} />
      </Section>
      <Section title="What happened" count={steps.length}>
        <Timeline steps={steps} />
      </Section>
      <Section title="What was known">
        <FactTable facts={facts} />
      </Section>
      <Raw detail={detail} />
    </>
  )
}

function Id({ name, value, onFilter }: { name: string; value: string; onFilter?: () => void }) {
  return (
    <div className={classes.id}>
      <dt>{name}</dt>
      <dd className={classes.idValue}>
        <span className={classes.idText}>{value}</span>
        <CopyButton text={value} name={name.toLowerCase()} size="xs" />
        {onFilter !== undefined && (
          <Button size="compact-xs" variant="subtle" onClick={onFilter} aria-label={`Only this ${name.toLowerCase()}: ${value}`}>
            Only this
          </Button>
        )}
      </dd>
    </div>
  )
}

function Section({ title, count, children }: { title: string; count?: number; children: ReactNode }) {
  return (
    <section className={classes.section} aria-label={title}>
      <h2 className={classes.heading}>
        {title}
        {count !== undefined && count > 0 && <span className={classes.count}>{count}</span>}
      </h2>
      {children}
    </section>
  )
}

// Facts may hold personal data; they stand in the table above, where they are
// masked. This is the event's own body, which holds none.
function Raw({ detail }: { detail: DecisionDetail }) {
  const text = JSON.stringify(detail.steps.find(({ kind }) => kind === 'action.tracked')?.data ?? detail.decision, null, 2)
  return (
    <details className={classes.raw}>
      <summary>
        <Icons.Chevron size={14} />
        Raw event
      </summary>
      <div className={classes.rawBody}>
        <p className="dim">
          Position <code>{detail.decision.position}</code>. Personal values are kept beside the event; here stand salted hashes of them.
        </p>
        <pre tabIndex={0} aria-label="The event as JSON">{text}</pre>
        <span className={classes.rawCopy}>
          <CopyButton text={text} name="the event" />
        </span>
      </div>
    </details>
  )
}
