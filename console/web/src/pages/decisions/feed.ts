// How decisions that were just made join the pages that are already shown. Pure.

import type { Decision, DecisionPage } from '../../api/types'

/** Negative when a is newer than b: the order of the list. */
export function compare(a: Decision, b: Decision): number {
  const time = Date.parse(b.time) - Date.parse(a.time)
  if (time !== 0) return time
  const [epochA = '', seqA = '0'] = a.position.split('-')
  const [epochB = '', seqB = '0'] = b.position.split('-')
  return epochA === epochB ? Number(seqB) - Number(seqA) : epochA < epochB ? 1 : -1
}

/** The decisions of head that are newer than everything in pages. */
export function fresh(pages: readonly DecisionPage[], head: DecisionPage): Decision[] {
  const newest = pages.find((page) => page.decisions.length > 0)?.decisions[0]
  if (newest === undefined) return head.decisions
  const known = new Set(pages[0]?.decisions.map((decision) => decision.position))
  return head.decisions.filter((decision) => compare(decision, newest) < 0 && !known.has(decision.position))
}

/** Whether decisions may lie between head and pages that neither has. */
export const leavesGap = (pages: readonly DecisionPage[], head: DecisionPage): boolean =>
  head.next !== undefined && head.decisions.length > 0 && fresh(pages, head).length === head.decisions.length

/**
 * pages with the newest states from head and, unless held, its new decisions on
 * top. When a gap would be left, head alone starts the list again. The same
 * array comes back when nothing differs.
 */
export function absorb(pages: DecisionPage[], head: DecisionPage, held: boolean): DecisionPage[] {
  if (!held && leavesGap(pages, head)) return [head]
  const latest = new Map(head.decisions.map((decision) => [decision.position, decision]))
  let changed = false
  const next = pages.map((page) => {
    let differs = page.source !== head.source
    const decisions = page.decisions.map((decision) => {
      const update = latest.get(decision.position)
      if (update === undefined || update.state === decision.state) return decision
      differs = true
      return update
    })
    if (!differs) return page
    changed = true
    return { ...page, decisions, source: head.source }
  })
  const arrived = held ? [] : fresh(pages, head)
  const [first, ...rest] = next
  if (arrived.length > 0 && first !== undefined) return [{ ...first, decisions: [...arrived, ...first.decisions] }, ...rest]
  return changed ? next : pages
}

/** All rows, each once: a decision may stand on two pages when the list grew between the calls. */
export function rowsOf(pages: readonly DecisionPage[]): Decision[] {
  const seen = new Set<string>()
  return pages.flatMap((page) =>
    page.decisions.filter(({ position }) => {
      if (seen.has(position)) return false
      seen.add(position)
      return true
    }),
  )
}
