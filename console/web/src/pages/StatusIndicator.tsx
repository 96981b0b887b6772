import { Popover, UnstyledButton } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'

import { statusQuery } from '../api/queries'
import type { Status } from '../api/types'
import { errorText } from '../components/Notice'
import { count } from '../lib/format'
import classes from './StatusIndicator.module.css'

type Part = Status['parts'][number]
type Tone = Part['state'] | 'unknown'

const partNames: Readonly<Record<string, string>> = {
  log: 'Log',
  nats: 'Event stream',
  archive: 'Archive',
  ipdata: 'IP data',
  rules: 'Rules',
}

const stateNames: Readonly<Record<Part['state'], string>> = {
  ok: 'works',
  degraded: 'degraded',
  down: 'down',
  off: 'switched off',
}

const nameOf = (part: Part) => partNames[part.name] ?? part.name

function summary(status: Status): { tone: Tone; text: string } {
  const down = status.parts.filter(({ state }) => state === 'down')
  const degraded = status.parts.filter(({ state }) => state === 'degraded')
  if (!status.ready) return { tone: 'down', text: 'Not taking actions' }
  if (down.length > 0) return { tone: 'degraded', text: `${down.map(nameOf).join(', ')} down` }
  if (degraded.length > 0) return { tone: 'degraded', text: `${degraded.map(nameOf).join(', ')} degraded` }
  return { tone: 'ok', text: 'All parts work' }
}

/** How Sallyport itself is, on every page. */
export function StatusIndicator() {
  const status = useQuery(statusQuery)
  const { tone, text } =
    status.isError ? { tone: 'down' as const, text: 'No connection' }
    : status.data === undefined ? { tone: 'unknown' as const, text: 'Asking…' }
    : summary(status.data)
  return (
    <Popover position="bottom-end" width={300} shadow="md" trapFocus>
      <Popover.Target>
        <UnstyledButton className={classes.button} data-tone={tone} aria-label={`Status: ${text}`}>
          <span className={classes.dot} data-tone={tone} />
          <span className={classes.text}>{text}</span>
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown aria-label="Status">
        {status.isError && <p className={classes.error}>{errorText(status.error)}</p>}
        {status.data !== undefined && (
          <>
            <ul className={classes.parts}>
              {status.data.parts.map((part) => (
                <li key={part.name} className={classes.part}>
                  <span className={classes.dot} data-tone={part.state} />
                  <span className={classes.partName}>{nameOf(part)}</span>
                  <span className={classes.partState}>{stateNames[part.state]}</span>
                  {(part.detail || (part.lag ?? 0) > 0) && (
                    <span className={classes.detail}>
                      {[part.detail, (part.lag ?? 0) > 0 ? `${count(part.lag ?? 0, 'event')} behind` : ''].filter(Boolean).join('; ')}
                    </span>
                  )}
                </li>
              ))}
            </ul>
            <p className={classes.version}>Sallyport {status.data.version}</p>
          </>
        )}
      </Popover.Dropdown>
    </Popover>
  )
}
