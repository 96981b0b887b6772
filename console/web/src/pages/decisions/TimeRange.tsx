import { Button, Menu, Popover, TextInput } from '@mantine/core'
import { useState } from 'react'

import { ChevronDown, Clock } from '../../components/icons'
import { localInput } from '../../lib/format'
import type { ChangeFilters } from './FilterBar'
import { defaultRange, rangeLabel, ranges, type Filters, type Range } from './filters'
import classes from './TimeRange.module.css'

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone

/** The time the list covers: presets that move with the clock, or two moments. */
export function TimeRange({ filters, onChange }: { filters: Filters; onChange: ChangeFilters }) {
  const [custom, setCustom] = useState(false)
  const absolute = filters.from !== undefined || filters.to !== undefined
  const chosen = absolute ? undefined : (filters.range ?? defaultRange)
  const label = rangeLabel(filters, (time) => localInput(time).replace('T', ' '))
  return (
    <Popover opened={custom} onChange={setCustom} position="bottom-start" shadow="md" trapFocus returnFocus withRoles={false}>
      <Popover.Target>
        <span>
          <Menu position="bottom-start" shadow="md" width={200}>
            <Menu.Target>
              <Button
                size="xs"
                variant="default"
                className={classes.button}
                leftSection={<Clock size={14} />}
                rightSection={<ChevronDown size={13} />}
                aria-label={`Time: ${label}`}
              >
                {label}
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              {(Object.keys(ranges) as Range[]).map((range) => (
                <Menu.Item key={range} onClick={() => onChange({ range })} data-chosen={range === chosen || undefined} className={classes.item}>
                  {ranges[range].label}
                </Menu.Item>
              ))}
              <Menu.Divider />
              <Menu.Item onClick={() => setCustom(true)} data-chosen={absolute || undefined} className={classes.item}>
                Between two times…
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </span>
      </Popover.Target>
      <Popover.Dropdown role="dialog" aria-label="Between two times">
        <Between
          filters={filters}
          onApply={(from, to) => {
            onChange({ from, to, ...(from === undefined && to === undefined ? { range: 'all' } : {}) })
            setCustom(false)
          }}
        />
      </Popover.Dropdown>
    </Popover>
  )
}

function Between({ filters, onApply }: { filters: Filters; onApply: (from: string | undefined, to: string | undefined) => void }) {
  const [from, setFrom] = useState(localInput(filters.from))
  const [to, setTo] = useState(localInput(filters.to))
  const moment = (text: string) => (text === '' ? undefined : new Date(text).toISOString())
  const reversed = from !== '' && to !== '' && from >= to
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault()
        if (!reversed) onApply(moment(from), moment(to))
      }}
    >
      <TextInput size="xs" type="datetime-local" label="From" value={from} onChange={(event) => setFrom(event.currentTarget.value)} data-autofocus />
      <TextInput
        size="xs"
        type="datetime-local"
        label="Until"
        value={to}
        error={reversed ? 'This is not after the beginning.' : undefined}
        onChange={(event) => setTo(event.currentTarget.value)}
      />
      <p className={classes.note}>Your time zone: {zone}. Leave one empty for an open end.</p>
      <Button size="xs" type="submit">
        Show
      </Button>
    </form>
  )
}
