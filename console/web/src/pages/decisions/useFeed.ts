import { keepPreviousData, useInfiniteQuery, useQuery, useQueryClient, type InfiniteData } from '@tanstack/react-query'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'

import { fetchDecisions } from '../../api/queries'
import type { Decision, DecisionPage } from '../../api/types'
import { absorb, fresh, leavesGap, rowsOf } from './feed'
import { canBeLive, queryOf, type Filters } from './filters'

const pageSize = 50
const pollMs = 2000

export interface Feed {
  rows: Decision[]
  source: DecisionPage['source'] | undefined
  /** Rows that joined the list while it was on screen. */
  arrived: ReadonlySet<string>
  /** New decisions that wait for the reader, and whether there are more than were counted. */
  waiting: { count: number; more: boolean }
  isPending: boolean
  /** The list on screen belongs to the filters before; the new one is on its way. */
  isChanging: boolean
  error: unknown
  /** The newest poll failed; what is on screen may be old. */
  isStale: boolean
  hasMore: boolean
  isLoadingMore: boolean
  moreFailed: boolean
  loadMore: () => void
  /** Brings the waiting decisions in. */
  takeWaiting: () => void
  reload: () => void
}

/**
 * The decisions below filters: pages by cursor, and the newest ones polled on
 * top while live. While held, new rows wait, so that nothing moves under a
 * reader; states of the rows that are shown are always brought up to date.
 */
export function useFeed(filters: Filters, live: boolean, held: boolean): Feed {
  const client = useQueryClient()
  const key = useMemo(() => ['decisions', 'list', filters], [filters])

  const list = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) =>
      fetchDecisions({ ...queryOf(filters, Date.now()), limit: pageSize, ...(pageParam === '' ? {} : { cursor: pageParam }) }, signal),
    initialPageParam: '',
    getNextPageParam: (page) => page.next,
    staleTime: Infinity,
    gcTime: 60_000,
    placeholderData: keepPreviousData,
  })
  const pages = list.data?.pages
  const settled = list.isSuccess && !list.isPlaceholderData

  const head = useQuery({
    queryKey: ['decisions', 'head', filters],
    queryFn: ({ signal }) => fetchDecisions({ ...queryOf(filters, Date.now()), limit: pageSize }, signal),
    enabled: live && settled && canBeLive(filters, Date.now()),
    refetchInterval: pollMs,
    staleTime: 0,
    gcTime: 0,
    retry: false,
  })

  const show = useCallback(
    (next: DecisionPage[]) =>
      client.setQueryData<InfiniteData<DecisionPage, string>>(key, (data) =>
        data === undefined ? data : { pages: next, pageParams: data.pageParams.slice(0, next.length) },
      ),
    [client, key],
  )

  const [arrived, setArrived] = useState<ReadonlySet<string>>(new Set())
  useEffect(() => setArrived(new Set()), [key])

  const newest = head.data
  const absorbed = useRef<unknown>(undefined)
  useEffect(() => {
    if (newest === undefined || !settled || pages === undefined) return
    // The first poll only closes the distance to the list; what later ones bring has arrived.
    const isFirst = absorbed.current !== key
    absorbed.current = key
    const next = absorb(pages, newest, held)
    if (next === pages) return
    if (!held && !isFirst) {
      const before = new Set(rowsOf(pages).map(({ position }) => position))
      setArrived(new Set(newest.decisions.map(({ position }) => position).filter((position) => !before.has(position))))
    }
    show(next)
  }, [held, key, newest, pages, settled, show])

  const waiting = useMemo(() => {
    if (!held || newest === undefined || pages === undefined) return { count: 0, more: false }
    return { count: fresh(pages, newest).length, more: leavesGap(pages, newest) }
  }, [held, newest, pages])

  const rows = useMemo(() => rowsOf(pages ?? []), [pages])
  return {
    rows,
    source: pages?.[0]?.source,
    arrived,
    waiting,
    isPending: list.isPending,
    isChanging: list.isPlaceholderData && list.isFetching,
    error: pages === undefined || list.isPlaceholderData ? list.error : null,
    isStale: head.isError,
    hasMore: list.hasNextPage,
    isLoadingMore: list.isFetchingNextPage,
    moreFailed: list.isFetchNextPageError,
    loadMore: () => {
      if (list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage()
    },
    takeWaiting: () => {
      if (newest !== undefined && pages !== undefined) show(absorb(pages, newest, false))
    },
    reload: () => void client.resetQueries({ queryKey: key }),
  }
}
