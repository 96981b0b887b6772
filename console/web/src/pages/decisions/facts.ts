// The facts of a decision, grouped as the vocabulary has them. Pure.

import type { FactValue } from '../../api/types'
import { fullTime } from '../../lib/format'

export interface FactGroup {
  name: string
  title: string
  facts: FactValue[]
}

const titles: readonly [name: string, title: string][] = [
  ['custom', 'Sent with the action'],
  ['user', 'Person'],
  ['passkey', 'Passkeys'],
  ['device', 'Device'],
  ['ip', 'Network'],
  ['travel', 'Travel'],
  ['metric', 'Metrics'],
  ['action', 'Action'],
  ['now', 'Time'],
]

/** Groups in the order in which people look; within a group as the server sent them. */
export function groupFacts(facts: readonly FactValue[]): FactGroup[] {
  const groups = new Map<string, FactValue[]>()
  for (const fact of facts) {
    const name = fact.name.split('.')[0] ?? fact.name
    groups.set(name, [...(groups.get(name) ?? []), fact])
  }
  const known = titles.flatMap(([name, title]) => {
    const found = groups.get(name)
    groups.delete(name)
    return found === undefined ? [] : [{ name, title, facts: found }]
  })
  return [...known, ...[...groups].map(([name, found]) => ({ name, title: name, facts: found }))]
}

const sentDecimals = 1e6

/** What the application sent keeps six decimals, more than any rule is written with; what was computed three, or three digits when it is below 1. */
function numberText(value: number, sent: boolean): string {
  if (Math.abs(value) >= Number.MAX_SAFE_INTEGER / sentDecimals) return String(value)
  if (sent) return String(Math.round(value * sentDecimals) / sentDecimals)
  return String(Math.abs(value) < 1 ? Number(value.toPrecision(3)) : Math.round(value * 1e3) / 1e3)
}

/** A fact's value as text. */
export function factText(fact: FactValue): string {
  const { value } = fact
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'number') return numberText(value, fact.name.startsWith('custom.'))
  if (typeof value === 'string') return fact.type === 'timestamp' ? fullTime(value) : value === '' ? '(empty)' : value
  return value === undefined || value === null ? '' : JSON.stringify(value)
}
