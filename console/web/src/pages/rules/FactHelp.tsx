import { Button, Popover, TextInput, UnstyledButton } from '@mantine/core'
import { useState } from 'react'

import type { Fact, Field } from '../../api/types'
import { Search } from '../../components/icons'
import { fieldName } from '../../rules/defaults'
import classes from './FactHelp.module.css'

const groupTitles: Readonly<Record<Fact['group'] | 'custom', string>> = {
  custom: 'Custom fields',
  user: 'Person',
  passkey: 'Passkeys',
  device: 'Device',
  ip: 'Network',
  travel: 'Travel',
  action: 'Action',
  now: 'Time',
}

interface Props {
  vocabulary: readonly Fact[]
  fields: readonly Field[]
  /** Adds the path to the condition; without it the list is only to read. */
  onInsert?: (path: string) => void
}

/** Every value that a condition may read, with what it means. */
export function FactHelp({ vocabulary, fields, onInsert }: Props) {
  const [opened, setOpened] = useState(false)
  const [text, setText] = useState('')
  const all = [
    ...fields.filter(({ name }) => name !== '').map((field) => ({ name: fieldName(field), type: field.type, group: 'custom' as const, doc: field.description ?? '' })),
    ...vocabulary,
  ]
  const wanted = text.trim().toLowerCase()
  const found = all.filter(({ name, doc }) => `${name} ${doc}`.toLowerCase().includes(wanted))
  const groups = (Object.keys(groupTitles) as (keyof typeof groupTitles)[]).map((group) => ({ group, facts: found.filter((fact) => fact.group === group) }))
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" width={380} shadow="md" trapFocus returnFocus>
      <Popover.Target>
        <Button size="compact-xs" variant="subtle" onClick={() => setOpened(!opened)}>
          Values you can use
        </Button>
      </Popover.Target>
      <Popover.Dropdown className={classes.box} aria-label="Values you can use">
        <TextInput
          size="xs"
          aria-label="Search the values"
          placeholder="Search"
          leftSection={<Search size={14} />}
          value={text}
          data-autofocus
          onChange={(event) => setText(event.currentTarget.value)}
        />
        <div className={classes.list}>
          {groups.map(({ group, facts }) =>
            facts.length === 0 ? null : (
              <section key={group} aria-label={groupTitles[group]}>
                <h3 className={classes.title}>{groupTitles[group]}</h3>
                {facts.map((fact) => (
                  <UnstyledButton
                    key={fact.name}
                    className={classes.fact}
                    disabled={onInsert === undefined}
                    onClick={() => {
                      onInsert?.(fact.name)
                      setOpened(false)
                    }}
                  >
                    <span className={classes.name}>{fact.name}</span>
                    <span className={classes.type}>{fact.type}</span>
                    {fact.doc !== '' && <span className={classes.doc}>{fact.doc}</span>}
                  </UnstyledButton>
                ))}
              </section>
            ),
          )}
          {found.length === 0 && <p className={classes.none}>No value has this in its name or meaning.</p>}
        </div>
      </Popover.Dropdown>
    </Popover>
  )
}
