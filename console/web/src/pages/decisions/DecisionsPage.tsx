import { useMediaQuery } from '@mantine/hooks'
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'

import { anyDecisionQuery } from '../../api/queries'
import type { Decision } from '../../api/types'
import { ErrorNotice, Notice } from '../../components/Notice'
import { readStored, writeStored } from '../../lib/stored'
import { useShortcuts } from '../../lib/shortcuts'
import { DecisionList, type DecisionListHandle } from './DecisionList'
import { DecisionPanel } from './DecisionPanel'
import { NothingFound } from './NothingFound'
import { FilterBar } from './FilterBar'
import { FirstRun } from './FirstRun'
import { canBeLive, filtersOf, readId, readSearch, withFilters, writeId, type DecisionsSearch } from './filters'
import { useFeed } from './useFeed'
import classes from './DecisionsPage.module.css'

const idOf = (decision: Decision) => writeId(decision)

export function DecisionsPage() {
  const search = useSearch({ from: '/inside/decisions' })
  const navigate = useNavigate({ from: '/decisions' })
  // The router passes on what it does not know; readSearch drops it and fixes the order.
  const filters = useMemo(() => filtersOf(readSearch({ ...search })), [search])
  const narrow = useMediaQuery('(max-width: 900px)') ?? false

  const [live, setLive] = useState(() => readStored(sessionStorage, 'live') !== 'off')
  const [scrolled, setScrolled] = useState(false)
  const [pointing, setPointing] = useState(false)
  const held = scrolled || pointing || search.open !== undefined
  const feed = useFeed(filters, live, held)

  const list = useRef<DecisionListHandle>(null)
  const userInput = useRef<HTMLInputElement>(null)
  const [current, setCurrent] = useState<string | undefined>(search.open)

  const change = useCallback(
    (changes: Parameters<typeof withFilters>[1], replace = false) =>
      void navigate({ search: (before: DecisionsSearch) => withFilters(before, changes), replace }),
    [navigate],
  )
  const open = useCallback(
    (id: string | undefined) => {
      // Stepping from one to the next is one entry in the history: back closes the panel.
      change({ open: id }, id === undefined || search.open !== undefined)
      if (id !== undefined) setCurrent(id)
    },
    [change, search.open],
  )
  const close = useCallback(() => {
    open(undefined)
    list.current?.focus()
  }, [open])

  const index = feed.rows.findIndex((row) => idOf(row) === (search.open ?? current))
  const step = (by: 1 | -1) => {
    const next = feed.rows[index < 0 ? 0 : index + by]
    if (next === undefined) return
    setCurrent(idOf(next))
    list.current?.show(feed.rows.indexOf(next))
    if (search.open !== undefined) open(idOf(next))
    else list.current?.focus(feed.rows.indexOf(next))
  }
  const toggleLive = () => {
    writeStored(sessionStorage, 'live', live ? 'off' : undefined)
    setLive(!live)
  }

  useShortcuts([
    { keys: 'j', label: 'Next decision', group: 'Decisions', run: () => step(1) },
    { keys: 'k', label: 'Previous decision', group: 'Decisions', run: () => step(-1) },
    { keys: 'Enter', label: 'Open the decision', group: 'Decisions', run: () => current !== undefined && open(current) },
    { keys: 'Escape', label: 'Close the decision', group: 'Decisions', run: () => search.open !== undefined && close() },
    { keys: '/', label: 'Filter by user', group: 'Decisions', run: () => userInput.current?.focus() },
    { keys: 'l', label: 'Live on or off', group: 'Decisions', run: toggleLive },
    { keys: 'c', label: 'Clear the filters', group: 'Decisions', run: () => change({ user: undefined, action: undefined, outcome: undefined }) },
  ])

  useEffect(() => {
    document.title = 'Decisions · Sallyport'
  }, [])

  const isEmpty = !feed.isPending && feed.error === null && feed.rows.length === 0
  const any = useQuery({ ...anyDecisionQuery, enabled: isEmpty, refetchInterval: isEmpty ? 2000 : false })
  const firstRun = isEmpty && any.data === false
  const opened = search.open === undefined ? undefined : readId(search.open)

  return (
    <div className={classes.page} data-open={opened !== undefined || undefined}>
      <div className={classes.left} inert={narrow && opened !== undefined}>
        <h1 className="hidden">Decisions</h1>
        {!firstRun && (
          <FilterBar
            filters={filters}
            onChange={change}
            live={live && canBeLive(filters, Date.now())}
            canBeLive={canBeLive(filters, Date.now())}
            onLive={toggleLive}
            stale={feed.isStale}
            userInput={userInput}
          />
        )}
        {feed.source === 'log' && !firstRun && (
          <div className={classes.banner}>
            <Notice tone="plain">
              <strong>Last 30 days.</strong> The archive is off or not up to date, so this list comes from the log. Older decisions are not shown.
            </Notice>
          </div>
        )}
        {feed.error !== null && (
          <div className={classes.banner}>
            <ErrorNotice title="The decisions could not be loaded." error={feed.error} onRetry={feed.reload} />
          </div>
        )}
        {firstRun ?
          <FirstRun />
        : isEmpty && any.data !== undefined ?
          <NothingFound filters={filters} onChange={change} />
        : feed.error === null && (
            <DecisionList
              handle={list}
              feed={feed}
              about={JSON.stringify(filters)}
              current={current}
              opened={search.open}
              compact={opened !== undefined}
              narrow={narrow}
              offerWaiting={scrolled || opened !== undefined}
              idOf={idOf}
              onOpen={open}
              onCurrent={setCurrent}
              onFilter={change}
              onScrolled={setScrolled}
              onPointing={setPointing}
            />
          )
        }
      </div>
      {opened !== undefined && (
        <DecisionPanel
          key={search.open}
          id={opened}
          onClose={close}
          onFilter={change}
          onNext={index >= 0 && index < feed.rows.length - 1 ? () => step(1) : undefined}
          onPrevious={index > 0 ? () => step(-1) : undefined}
        />
      )}
    </div>
  )
}
