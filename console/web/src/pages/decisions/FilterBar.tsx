import { Autocomplete, Button, CloseButton, SegmentedControl, Switch, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useState, type RefObject } from 'react'

import { rulesQuery } from '../../api/queries'
import { outcomes, type Outcome } from '../../api/types'
import { Cross, Search } from '../../components/icons'
import { outcomeLabels } from '../../lib/words'
import { countFilters, type Filters, type withFilters } from './filters'
import { TimeRange } from './TimeRange'
import classes from './FilterBar.module.css'

export type ChangeFilters = (changes: Parameters<typeof withFilters>[1]) => void

interface Props {
  filters: Filters
  onChange: ChangeFilters
  live: boolean
  canBeLive: boolean
  onLive: () => void
  stale: boolean
  userInput: RefObject<HTMLInputElement | null>
}

/** What the list shows: inputs above, what is set as chips below. */
export function FilterBar({ filters, onChange, live, canBeLive, onLive, stale, userInput }: Props) {
  const rules = useQuery(rulesQuery)
  const codes = rules.data?.definition.actions.map(({ code }) => code) ?? []
  return (
    <div className={classes.bar} role="search" aria-label="Filter the decisions">
      <div className={classes.inputs}>
        <ExactInput
          label="User"
          placeholder="User id"
          value={filters.user ?? ''}
          inputRef={userInput}
          onCommit={(user) => onChange({ user: user === '' ? undefined : user })}
        />
        <ActionInput codes={codes} value={filters.action ?? ''} onCommit={(action) => onChange({ action: action === '' ? undefined : action })} />
        <SegmentedControl
          className={classes.outcomes}
          size="xs"
          aria-label="Outcome"
          value={filters.outcome ?? ''}
          onChange={(value) => onChange({ outcome: value === '' ? undefined : (value as Outcome) })}
          data={[{ value: '', label: 'All' }, ...outcomes.map((value) => ({ value, label: outcomeLabels[value] }))]}
        />
        <TimeRange filters={filters} onChange={onChange} />
        <Switch
          className={classes.live}
          size="xs"
          label={!live ? 'Live' : stale ? 'Live, no connection' : 'Live'}
          checked={live}
          disabled={!canBeLive}
          onChange={onLive}
          data-on={live && !stale ? '' : undefined}
          title={canBeLive ? 'Ask for new decisions every two seconds' : 'This time range is over: nothing new can appear in it'}
        />
      </div>
      {countFilters(filters) > 0 && (
        <ul className={classes.chips} aria-label="Filters that are set">
          {filters.user !== undefined && <Chip name="user" value={filters.user} onRemove={() => onChange({ user: undefined })} />}
          {filters.action !== undefined && <Chip name="action" value={filters.action} onRemove={() => onChange({ action: undefined })} />}
          {filters.outcome !== undefined && (
            <Chip name="outcome" value={outcomeLabels[filters.outcome]} onRemove={() => onChange({ outcome: undefined })} />
          )}
          <li>
            <Button size="compact-xs" variant="subtle" onClick={() => onChange({ user: undefined, action: undefined, outcome: undefined })}>
              Clear all
            </Button>
          </li>
        </ul>
      )}
    </div>
  )
}

function Chip({ name, value, onRemove }: { name: string; value: string; onRemove: () => void }) {
  return (
    <li className={classes.chip}>
      <span className="dim">{name}</span>
      <span className={classes.chipValue} title={value}>{value}</span>
      <button type="button" className={classes.chipRemove} aria-label={`Remove the filter ${name} ${value}`} onClick={onRemove}>
        <Cross size={12} strokeWidth={2.6} />
      </button>
    </li>
  )
}

interface ExactProps {
  label: string
  placeholder: string
  value: string
  inputRef: RefObject<HTMLInputElement | null>
  onCommit: (value: string) => void
}

// The server matches whole ids, so half an id is not worth a question: the value
// counts on Enter and when the field is left.
function useCommitted(value: string, onCommit: (value: string) => void) {
  const [text, setText] = useState(value)
  useEffect(() => setText(value), [value])
  const commit = (next = text) => {
    if (next.trim() !== value) onCommit(next.trim())
  }
  return { text, setText, commit }
}

function ExactInput({ label, placeholder, value, inputRef, onCommit }: ExactProps) {
  const { text, setText, commit } = useCommitted(value, onCommit)
  return (
    <TextInput
      ref={inputRef}
      className={classes.user}
      size="xs"
      aria-label={label}
      placeholder={placeholder}
      leftSection={<Search size={14} />}
      rightSection={text !== '' && <CloseButton size="xs" aria-label={`Clear ${label.toLowerCase()}`} onClick={() => { setText(''); commit('') }} />}
      value={text}
      autoComplete="off"
      spellCheck={false}
      onChange={(event) => setText(event.currentTarget.value)}
      onBlur={() => commit()}
      onKeyDown={(event) => {
        if (event.key === 'Enter') commit()
        if (event.key === 'Escape') {
          setText(value)
          event.currentTarget.blur()
        }
      }}
    />
  )
}

function ActionInput({ codes, value, onCommit }: { codes: string[]; value: string; onCommit: (value: string) => void }) {
  const { text, setText, commit } = useCommitted(value, onCommit)
  return (
    <Autocomplete
      className={classes.action}
      size="xs"
      aria-label="Action"
      placeholder="Action"
      data={codes}
      value={text}
      spellCheck={false}
      comboboxProps={{ shadow: 'md' }}
      rightSection={text !== '' && <CloseButton size="xs" aria-label="Clear action" onClick={() => { setText(''); commit('') }} />}
      onChange={setText}
      onOptionSubmit={(code) => commit(code)}
      onBlur={() => commit()}
      onKeyDown={(event) => {
        if (event.key === 'Enter') commit()
      }}
    />
  )
}
