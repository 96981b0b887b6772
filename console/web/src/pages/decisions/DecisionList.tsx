import { Button, Loader } from '@mantine/core'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useImperativeHandle, useRef, type KeyboardEvent, type Ref } from 'react'

import type { Decision } from '../../api/types'
import { Up } from '../../components/icons'
import { PlaceCredit } from '../../components/PlaceCredit'
import { count } from '../../lib/format'
import { DecisionCard, DecisionRow } from './DecisionRow'
import type { ChangeFilters } from './FilterBar'
import type { Feed } from './useFeed'
import classes from './DecisionList.module.css'

export interface DecisionListHandle {
  /** Scrolls just enough to see the row. */
  show: (index: number) => void
  /** Moves the keyboard to a row, or to the current one. */
  focus: (index?: number) => void
}

interface Props {
  handle: Ref<DecisionListHandle>
  feed: Feed
  /** What the list is about; another value starts at the top again. */
  about: string
  current: string | undefined
  opened: string | undefined
  compact: boolean
  narrow: boolean
  /** Say that new decisions wait. Off while they wait for the pointer to rest only. */
  offerWaiting: boolean
  idOf: (decision: Decision) => string
  onOpen: (id: string) => void
  onCurrent: (id: string) => void
  onFilter: ChangeFilters
  onScrolled: (scrolled: boolean) => void
  onPointing: (pointing: boolean) => void
}

const rowHeight = 34 // px, as in the style sheet
const cardHeight = 66
const pointingMs = 1500

export function DecisionList({ handle, feed, about, current, opened, compact, narrow, offerWaiting, idOf, onOpen, onCurrent, onFilter, onScrolled, onPointing }: Props) {
  const { rows } = feed
  const scroller = useRef<HTMLDivElement>(null)
  const height = narrow ? cardHeight : rowHeight
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    getItemKey: (index) => rows[index]?.position ?? index,
    overscan: 12,
    scrollPaddingStart: narrow ? 0 : rowHeight,
    scrollPaddingEnd: rowHeight,
  })
  useEffect(() => virtual.measure(), [height, virtual])
  useEffect(() => {
    void scroller.current?.scrollTo({ top: 0 })
  }, [about])

  // Rows that move under the pointer are clicked by mistake: they rest while it moves.
  const pointer = useRef<ReturnType<typeof setTimeout>>(undefined)
  const moved = () => {
    onPointing(true)
    clearTimeout(pointer.current)
    pointer.current = setTimeout(() => onPointing(false), pointingMs)
  }
  useEffect(() => () => clearTimeout(pointer.current), [])

  const found = rows.findIndex((row) => idOf(row) === (opened ?? current))
  const tabbable = Math.max(found, 0)

  const focusRow = (index: number) => {
    virtual.scrollToIndex(index)
    // The row may only exist after the list has scrolled.
    requestAnimationFrame(() => scroller.current?.querySelector<HTMLElement>(`[data-index="${index}"]`)?.focus({ preventScroll: true }))
  }
  useImperativeHandle(handle, () => ({
    show: (index) => virtual.scrollToIndex(index),
    focus: (index) => focusRow(index ?? tabbable),
  }))

  const items = virtual.getVirtualItems()
  const last = items.at(-1)?.index ?? 0
  const { hasMore, isLoadingMore, moreFailed, loadMore } = feed
  useEffect(() => {
    if (last >= rows.length - 15 && hasMore && !isLoadingMore && !moreFailed && rows.length > 0) loadMore()
  }, [last, rows.length, hasMore, isLoadingMore, moreFailed, loadMore])

  const onKeyDown = (event: KeyboardEvent) => {
    const at = Number((event.target as HTMLElement).dataset.index)
    if (Number.isNaN(at)) return
    const moves: Partial<Record<string, number>> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1, PageDown: at + 15, PageUp: at - 15 }
    const wanted = moves[event.key]
    if (wanted !== undefined) {
      event.preventDefault()
      const next = Math.max(0, Math.min(wanted, rows.length - 1))
      const row = rows[next]
      if (row !== undefined) onCurrent(idOf(row))
      focusRow(next)
    }
    const row = rows[at]
    if (event.key === 'Enter' && row !== undefined) {
      event.preventDefault()
      onOpen(idOf(row))
    }
  }

  const View = narrow ? DecisionCard : DecisionRow
  return (
    <div className={classes.box}>
      {offerWaiting && feed.waiting.count > 0 && (
        <button
          type="button"
          className={classes.waiting}
          onClick={() => {
            feed.takeWaiting()
            scroller.current?.scrollTo({ top: 0 })
          }}
        >
          <Up size={13} />
          {feed.waiting.more ? `More than ${feed.waiting.count} new decisions` : count(feed.waiting.count, 'new decision')}
        </button>
      )}
      <div
        ref={scroller}
        className={classes.scroller}
        data-compact={compact || undefined}
        data-narrow={narrow || undefined}
        onScroll={(event) => onScrolled(event.currentTarget.scrollTop > height)}
        onPointerMove={moved}
        onKeyDown={onKeyDown}
      >
        <div
          role="grid"
          aria-label="Decisions, newest first"
          aria-rowcount={hasMore ? -1 : rows.length + 1}
          aria-busy={feed.isChanging || feed.isPending}
        >
          {!narrow && (
            <div role="row" aria-rowindex={1} className={classes.head}>
              <span role="columnheader">Time</span>
              <span role="columnheader">Outcome</span>
              <span role="columnheader">Action</span>
              <span role="columnheader">User</span>
              <span role="columnheader">Why</span>
              <span role="columnheader" data-extra>From</span>
              <span role="columnheader" data-extra>Device</span>
              <span role="columnheader" data-extra className={classes.right}>Took</span>
            </div>
          )}
          {feed.isPending ?
            <Skeleton narrow={narrow} />
          : <div className={classes.rows} role="rowgroup" data-changing={feed.isChanging || undefined} style={{ height: virtual.getTotalSize() }}>
              {items.map((item) => {
                const decision = rows[item.index]
                if (decision === undefined) return null
                const id = idOf(decision)
                return (
                  <div
                    key={item.key}
                    role="row"
                    aria-rowindex={item.index + 2}
                    aria-selected={id === opened}
                    data-index={item.index}
                    data-current={id === current || undefined}
                    data-arrived={feed.arrived.has(decision.position) || undefined}
                    tabIndex={item.index === tabbable ? 0 : -1}
                    className={narrow ? classes.card : classes.row}
                    style={{ height, transform: `translateY(${item.start}px)` }}
                    onClick={() => onOpen(id)}
                    onFocus={() => onCurrent(id)}
                  >
                    <View decision={decision} onFilter={onFilter} />
                  </div>
                )
              })}
            </div>
          }
        </div>
        {!feed.isPending && (
          <div className={classes.foot}>
            {isLoadingMore && <Loader size="xs" aria-label="Loading older decisions" />}
            {!isLoadingMore && hasMore && (
              <Button size="compact-sm" variant="default" onClick={loadMore}>
                {moreFailed ? 'Could not load older decisions. Try again' : 'Load older decisions'}
              </Button>
            )}
            {!hasMore && <span className="dim">{count(rows.length, 'decision')}, that is all in this time.</span>}
            {rows.some(({ country }) => country !== undefined && country !== '') && <PlaceCredit />}
          </div>
        )}
      </div>
    </div>
  )
}

// As high as the rows that come, so that nothing jumps.
function Skeleton({ narrow }: { narrow: boolean }) {
  return (
    <div role="status" aria-label="Loading decisions">
      {Array.from({ length: 14 }, (_, i) => (
        <div key={i} className={classes.ghost} style={{ height: narrow ? cardHeight : rowHeight }}>
          <i style={{ width: `${34 + ((i * 37) % 46)}%` }} />
        </div>
      ))}
    </div>
  )
}
