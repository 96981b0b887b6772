import { Button, NativeSelect, Popover, TextInput, UnstyledButton } from '@mantine/core'
import { useState } from 'react'

import { Copy, Fields, History, Plus } from '../../components/icons'
import { otherwiseKey, type Draft, type DraftAction } from '../../rules/draft'
import type { Placed } from '../../rules/problems'
import type { RulesView } from './search'
import classes from './ActionNav.module.css'

interface Props {
  draft: Draft
  problems: readonly Placed[]
  /** Key of the action, or the view. */
  chosen: string
  readOnly: boolean
  /** How many drafts are saved; undefined before that is known. */
  drafts: number | undefined
  onChoose: (action: string) => void
  onView: (view: RulesView) => void
  onAdd: (code: string) => void
}

const views: readonly { view: RulesView; label: string; Icon: typeof Fields }[] = [
  { view: 'drafts', label: 'Drafts', Icon: Copy },
  { view: 'fields', label: 'Custom fields', Icon: Fields },
  { view: 'history', label: 'History', Icon: History },
]

export const actionTitle = (action: DraftAction): string => (action.key === otherwiseKey ? 'Other actions' : action.code)

/** The actions of the set, and the set's other parts. A drop-down on a phone. */
export function ActionNav({ draft, problems, chosen, readOnly, drafts, onChoose, onView, onAdd }: Props) {
  const actions = [...draft.actions, draft.otherwise]
  const isView = (value: string): value is RulesView => views.some(({ view }) => view === value)
  return (
    <nav aria-label="Rules" className={classes.nav}>
      <div className={classes.phone}>
        <NativeSelect
          aria-label="Show the rules for"
          className={classes.select}
          value={chosen}
          onChange={(event) => (isView(event.currentTarget.value) ? onView(event.currentTarget.value) : onChoose(event.currentTarget.value))}
          data={[
            { group: 'Actions', items: actions.map((action) => ({ value: action.key, label: `${actionTitle(action)} (${action.rules.length})` })) },
            { group: 'Rule set', items: views.map(({ view, label }) => ({ value: view, label })) },
          ]}
        />
        {!readOnly && <AddAction draft={draft} onAdd={onAdd} />}
      </div>
      <div className={classes.desk}>
        <h2 className={classes.title}>Actions</h2>
        <ul className={classes.list}>
          {actions.map((action) => {
            const bad = problems.some(({ place }) => place.action === action.key)
            return (
              <li key={action.key}>
                <UnstyledButton className={classes.item} aria-current={action.key === chosen || undefined} onClick={() => onChoose(action.key)}>
                  <span className="cut">{actionTitle(action)}</span>
                  {bad && <span className={classes.bad} role="img" aria-label="has problems" title="Has problems" />}
                  <span className={classes.count} aria-label={`${action.rules.length} rules`}>
                    {action.rules.length}
                  </span>
                </UnstyledButton>
              </li>
            )
          })}
        </ul>
        {!readOnly && <AddAction draft={draft} onAdd={onAdd} />}
        <h2 className={classes.title}>Rule set {draft.base}</h2>
        <ul className={classes.list}>
          {views.map(({ view, label, Icon }) => (
            <li key={view}>
              <UnstyledButton className={classes.item} aria-current={view === chosen || undefined} onClick={() => onView(view)}>
                <Icon size={15} />
                <span>{label}</span>
                {view === 'fields' && <span className={classes.count}>{draft.fields.length}</span>}
                {view === 'drafts' && drafts !== undefined && drafts > 0 && <span className={classes.count}>{drafts}</span>}
              </UnstyledButton>
            </li>
          ))}
        </ul>
      </div>
    </nav>
  )
}

const codePattern = /^[a-zA-Z0-9_-]{1,64}$/

function AddAction({ draft, onAdd }: { draft: Draft; onAdd: (code: string) => void }) {
  const [opened, setOpened] = useState(false)
  const [code, setCode] = useState('')
  const [error, setError] = useState('')
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-start" shadow="md" trapFocus returnFocus>
      <Popover.Target>
        <Button size="compact-sm" variant="subtle" leftSection={<Plus size={14} />} onClick={() => setOpened(!opened)}>
          Add action
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <form
          className={classes.add}
          onSubmit={(event) => {
            event.preventDefault()
            const wanted = code.trim()
            if (!codePattern.test(wanted)) return setError('Use 1 to 64 letters, digits, dashes and underscores.')
            if (draft.actions.some((action) => action.code === wanted)) return setError('This action has rules already.')
            onAdd(wanted)
            setCode('')
            setOpened(false)
          }}
        >
          <TextInput
            label="Action code"
            description="As your backend sends it."
            placeholder="change-email"
            value={code}
            error={error}
            data-autofocus
            spellCheck={false}
            autoCapitalize="off"
            onChange={(event) => {
              setCode(event.currentTarget.value)
              setError('')
            }}
          />
          <Button type="submit" size="xs">
            Add
          </Button>
        </form>
      </Popover.Dropdown>
    </Popover>
  )
}
