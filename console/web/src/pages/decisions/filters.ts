// What the decisions page shows, as its address says it. Pure.

import { outcomes, type DecisionQuery, type Outcome } from '../../api/types'
import type { DecisionId } from '../../api/queries'
import { count } from '../../lib/format'
import type { Search } from '../../lib/search'

export const ranges = {
  '15m': { label: 'Last 15 minutes', seconds: 15 * 60 },
  '1h': { label: 'Last hour', seconds: 3600 },
  '24h': { label: 'Last 24 hours', seconds: 86_400 },
  '7d': { label: 'Last 7 days', seconds: 7 * 86_400 },
  '30d': { label: 'Last 30 days', seconds: 30 * 86_400 },
  all: { label: 'Any time', seconds: Infinity },
} as const

export type Range = keyof typeof ranges

export const defaultRange: Range = '24h'

/** Valid values only; what an address says beyond them is dropped. */
export interface Filters {
  user?: string
  action?: string
  outcome?: Outcome
  /** A preset counted back from now. Left out when from or to is set. */
  range?: Range
  /** RFC 3339, inclusive. */
  from?: string
  /** RFC 3339, exclusive. */
  to?: string
}

export interface DecisionsSearch extends Filters {
  /** The decision that is open beside the list, as written by writeId. */
  open?: string
}

export function readSearch(search: Search | Record<string, unknown>): DecisionsSearch {
  const text = (name: string): string | undefined => {
    const value = search[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const moment = (name: string): string | undefined => {
    const value = text(name)
    return value !== undefined && !Number.isNaN(Date.parse(value)) ? new Date(value).toISOString() : undefined
  }
  const from = moment('from')
  const to = moment('to')
  const absolute = from !== undefined || to !== undefined
  const range = text('range')
  const outcome = outcomes.find((each) => each === text('outcome'))
  const open = text('open')
  return defined({
    user: text('user'),
    action: text('action'),
    outcome,
    range: !absolute && range !== undefined && range !== defaultRange && Object.hasOwn(ranges, range) ? (range as Range) : undefined,
    from,
    to,
    open: open !== undefined && readId(open) !== undefined ? open : undefined,
  })
}

type Undefined<T> = { [K in keyof T]?: T[K] | undefined }

const defined = <T extends object>(values: Undefined<T>): T =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T

/** search with some filters changed; undefined removes one. A time preset and absolute times replace each other. */
export function withFilters(search: DecisionsSearch, changes: Undefined<DecisionsSearch>): DecisionsSearch {
  const next: Undefined<DecisionsSearch> = { ...search, ...changes }
  if (changes.range !== undefined) {
    next.from = undefined
    next.to = undefined
  }
  return readSearch(defined<DecisionsSearch>(next) as Record<string, unknown>)
}

/** The filters alone, without what is open. */
export const filtersOf = ({ open: _, ...filters }: DecisionsSearch): Filters => filters

/** What to ask the server, with the preset counted back from now. */
export function queryOf(filters: Filters, now: number): DecisionQuery {
  const { range: _, from, ...rest } = filters
  const seconds = from === undefined && filters.to === undefined ? ranges[filters.range ?? defaultRange].seconds : Infinity
  const start = Number.isFinite(seconds) ? new Date(now - seconds * 1000).toISOString() : from
  return start === undefined ? rest : { ...rest, from: start }
}

/** Whether decisions that are made now can appear below these filters. */
export const canBeLive = (filters: Filters, now: number): boolean => filters.to === undefined || Date.parse(filters.to) > now

/** How many of user, action and outcome are set. */
export const countFilters = ({ user, action, outcome }: Filters): number => [user, action, outcome].filter((each) => each !== undefined).length

/** The time part of the filters in words. */
export function rangeLabel(filters: Filters, format: (time: string) => string): string {
  if (filters.from !== undefined && filters.to !== undefined) return `${format(filters.from)} to ${format(filters.to)}`
  if (filters.from !== undefined) return `Since ${format(filters.from)}`
  if (filters.to !== undefined) return `Until ${format(filters.to)}`
  return ranges[filters.range ?? defaultRange].label
}

/** user/action/key, each part escaped, for the address. */
export const writeId = (id: DecisionId): string => [id.user, id.action, id.key].map(encodeURIComponent).join('/')

/** Reads what writeId wrote; undefined for anything else. */
export function readId(text: string): DecisionId | undefined {
  try {
    const [user, action, key, ...rest] = text.split('/').map(decodeURIComponent)
    if (!user || !action || !key || rest.length > 0) return undefined
    return { user, action, key }
  } catch {
    return undefined
  }
}

/** A sentence for screen readers and empty lists. */
export const describe = (rows: number, more: boolean): string => `${count(rows, 'decision')}${more ? ', more to load' : ''}`
