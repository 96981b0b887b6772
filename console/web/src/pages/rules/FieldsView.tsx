import { ActionIcon, Button, NativeSelect, TextInput } from '@mantine/core'
import { useEffect, useRef } from 'react'

import type { Field } from '../../api/types'
import { Plus, Trash } from '../../components/icons'
import type { Change, Draft } from '../../rules/draft'
import type { Placed } from '../../rules/problems'
import action from './ActionView.module.css'
import classes from './FieldsView.module.css'

const types: { value: Field['type']; label: string }[] = [
  { value: 'string', label: 'Text' },
  { value: 'number', label: 'Number' },
  { value: 'boolean', label: 'Yes or no' },
]

interface Props {
  draft: Draft
  problems: readonly Placed[]
  readOnly: boolean
  dispatch: (change: Change) => void
}

/** The custom values that rules may read. */
export function FieldsView({ draft, problems, readOnly, dispatch }: Props) {
  const list = useRef<HTMLUListElement>(null)
  const known = useRef(draft.fields.length)
  useEffect(() => {
    if (draft.fields.length > known.current) list.current?.querySelector<HTMLInputElement>('li:last-child input')?.focus()
    known.current = draft.fields.length
  }, [draft.fields.length])

  return (
    <>
      <header className={action.header}>
        <div className={action.titles}>
          <h1 className={action.title}>Custom fields</h1>
          <p className={action.lead}>
            What your backend sends as <code>custom</code> with an action. A rule reads <code>custom.amount</code> once <code>amount</code> is declared here;
            what is not declared is kept with the decision, but no rule sees it.
          </p>
        </div>
      </header>
      <section aria-label="Fields" className={action.flow}>
        {draft.fields.length === 0 && <p className={classes.none}>No field is declared yet.</p>}
        <ul ref={list} className={classes.list}>
          {draft.fields.map((field) => {
            const mine = problems.filter(({ place }) => place.field === field.key)
            const at = (member: string) => mine.find(({ place }) => place.member === member)?.message
            const set = (values: Partial<Field>) => dispatch({ type: 'field/set', field: field.key, values })
            return (
              <li key={field.key} className={classes.field}>
                <TextInput
                  size="xs"
                  aria-label="Name of the field"
                  placeholder="amount"
                  className={classes.name}
                  leftSection={<span className="dim">{field.scope === 'user' ? 'user.custom.' : 'custom.'}</span>}
                  leftSectionWidth={field.scope === 'user' ? 98 : 66}
                  value={field.name}
                  readOnly={readOnly}
                  error={at('name') ?? mine.find(({ place }) => place.member === undefined)?.message}
                  spellCheck={false}
                  onChange={(event) => set({ name: event.currentTarget.value })}
                />
                <NativeSelect
                  size="xs"
                  aria-label={`Type of ${field.name || 'the field'}`}
                  value={field.type}
                  disabled={readOnly}
                  data={types}
                  error={at('type')}
                  onChange={(event) => set({ type: event.currentTarget.value as Field['type'] })}
                />
                <TextInput
                  size="xs"
                  aria-label={`Meaning of ${field.name || 'the field'}`}
                  placeholder="What it means, with its unit"
                  value={field.description ?? ''}
                  readOnly={readOnly}
                  error={at('description')}
                  onChange={(event) => set({ description: event.currentTarget.value })}
                />
                {!readOnly && (
                  <ActionIcon aria-label={`Remove ${field.name || 'the field'}`} onClick={() => dispatch({ type: 'field/remove', field: field.key })}>
                    <Trash size={15} />
                  </ActionIcon>
                )}
              </li>
            )
          })}
        </ul>
        {!readOnly && (
          <Button variant="default" size="xs" leftSection={<Plus size={14} />} className={action.add} onClick={() => dispatch({ type: 'field/add' })}>
            Add field
          </Button>
        )}
      </section>
    </>
  )
}
