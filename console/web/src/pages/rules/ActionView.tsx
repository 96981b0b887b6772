import { ActionIcon, Button, Menu, NativeSelect, TextInput } from '@mantine/core'
import { useEffect, useRef, useState, type DragEvent, type ReactNode } from 'react'

import type { Fact, Outcome } from '../../api/types'
import { Plus, Settings, Trash } from '../../components/icons'
import { Notice } from '../../components/Notice'
import { Outcome as OutcomeBadge } from '../../components/Outcome'
import type { Suggestion } from '../../rules/cel'
import { defaultOf, onFailureOf, unenrolledOf, userVerificationOf } from '../../rules/defaults'
import { otherwiseKey, type Change, type Draft, type DraftAction } from '../../rules/draft'
import { problemsOfAction } from '../../rules/problems'
import { actionTitle } from './ActionNav'
import { Choice } from './Choice'
import { actionVerificationChoices, outcomeChoices, unenrolledChoices, verificationHelp } from './choices'
import { RuleCard } from './RuleCard'
import type { Check } from './useCheck'
import classes from './ActionView.module.css'

interface Props {
  action: DraftAction
  draft: Draft
  check: Check
  facts: readonly Suggestion[]
  vocabulary: readonly Fact[]
  opened: string | undefined
  readOnly: boolean
  dispatch: (change: Change) => void
  onOpen: (rule: string | undefined) => void
  onRemoved: () => void
  /** h2 where the page has a heading of its own. */
  heading?: 'h1' | 'h2'
}

/** Everything that decides one kind of action, in the order in which it is tried. */
export function ActionView({ action, draft, check, facts, vocabulary, opened, readOnly, dispatch, onOpen, onRemoved, heading: Heading = 'h1' }: Props) {
  const problems = problemsOfAction(check.problems, action.key)
  const own = problems.filter(({ place }) => place.rule === undefined)
  const other = action.key === otherwiseKey
  const [said, setSaid] = useState('')
  const drag = useDrag((rule, to) => move(rule, to))
  const addButton = useRef<HTMLButtonElement>(null)

  const move = (rule: string, to: number) => {
    dispatch({ type: 'rule/move', action: action.key, rule, to })
    const name = action.rules.find(({ key }) => key === rule)?.name ?? 'The rule'
    setSaid(`${name} is now number ${Math.max(0, Math.min(to, action.rules.length - 1)) + 1} of ${action.rules.length}`)
  }
  const add = () => {
    dispatch({ type: 'rule/add', action: action.key })
    onOpen(`new-${draft.counter}`)
  }

  return (
    <>
      <header className={classes.header}>
        <div className={classes.titles}>
          <Heading className={classes.title}>{actionTitle(action)}</Heading>
          <p className={classes.lead}>
            {other ? 'Decides every action that has no rules of its own. ' : ''}
            All rules are tried. The first live one that matches decides.
          </p>
        </div>
        {!readOnly && !other && (
          <Menu position="bottom-end" shadow="md">
            <Menu.Target>
              <ActionIcon aria-label={`More for ${action.code}`}>
                <Settings />
              </ActionIcon>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item
                color="red"
                leftSection={<Trash size={15} />}
                onClick={() => {
                  dispatch({ type: 'action/remove', action: action.key })
                  onRemoved()
                }}
              >
                Remove {action.code} and its rules
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        )}
      </header>

      {own.map((problem) => (
        <Notice key={`${problem.field}${problem.message}`} tone="bad">
          {problem.message}
        </Notice>
      ))}

      <section aria-label="Rules" className={classes.flow}>
        <ol className={classes.rules}>
          {action.rules.map((rule, index) => (
            <RuleCard
              key={rule.key}
              action={action.key}
              rule={rule}
              index={index}
              total={action.rules.length}
              isNew={!draft.original.actions.concat(draft.original.otherwise).some((each) => each.rules.some(({ id }) => id === rule.key))}
              check={check}
              facts={facts}
              vocabulary={vocabulary}
              fields={draft.fields}
              opened={rule.key === opened}
              readOnly={readOnly}
              drag={drag}
              dispatch={dispatch}
              onOpen={onOpen}
              onMove={(to) => move(rule.key, to)}
              onRemove={() => {
                dispatch({ type: 'rule/remove', action: action.key, rule: rule.key })
                onOpen(undefined)
                setSaid(`${rule.name || 'The rule'} was removed`)
                addButton.current?.focus()
              }}
            />
          ))}
        </ol>
        {!readOnly && (
          <Button ref={addButton} variant="default" size="xs" leftSection={<Plus size={14} />} className={classes.add} onClick={add}>
            Add rule
          </Button>
        )}
        <End label="If no live rule matches">
          <OutcomeSelect
            label="Outcome if no live rule matches"
            value={defaultOf(action)}
            readOnly={readOnly}
            onChange={(value) => dispatch({ type: 'action/set', action: action.key, values: { default: value } })}
          />
        </End>
        <End label="If the rules cannot decide" help="A rule fails, or something it needs comes too late.">
          <OutcomeSelect
            label="Outcome if the rules cannot decide"
            value={onFailureOf(action)}
            readOnly={readOnly}
            onChange={(value) => dispatch({ type: 'action/set', action: action.key, values: { onFailure: value } })}
          />
        </End>
      </section>

      <section aria-labelledby="challenge-heading" className={classes.challenge}>
        <h2 id="challenge-heading" className={classes.heading}>When a challenge is asked</h2>
        <TextInput
          label="The person approves"
          description={'{name} stands for a custom field, as in “Pay {amount} to {payee}”. Empty: a plain sentence with the action.'}
          placeholder={other ? 'A plain sentence with the action' : `Confirm ${action.code}`}
          value={action.prompt ?? ''}
          readOnly={readOnly}
          error={own.find(({ place }) => place.member === 'prompt')?.message}
          onChange={(event) => dispatch({ type: 'action/set', action: action.key, values: { prompt: event.currentTarget.value } })}
        />
        <Choice
          label="If the person has no passkey yet"
          value={unenrolledOf(action)}
          readOnly={readOnly}
          data={unenrolledChoices}
          onChange={(unenrolled) => dispatch({ type: 'action/set', action: action.key, values: { unenrolled } })}
        />
        <Choice
          label="User verification"
          description={verificationHelp}
          value={userVerificationOf(action)}
          readOnly={readOnly}
          data={actionVerificationChoices}
          error={own.find(({ place }) => place.member === 'userVerification')?.message}
          onChange={(value) => dispatch({ type: 'action/set', action: action.key, values: { userVerification: value || undefined } })}
        />
      </section>
      <span className="hidden" role="status">
        {said}
      </span>
    </>
  )
}

function End({ label, help, children }: { label: string; help?: string; children: ReactNode }) {
  return (
    <div className={classes.end}>
      <span className={classes.endText}>
        {label}
        {help !== undefined && <small>{help}</small>}
      </span>
      {children}
    </div>
  )
}

function OutcomeSelect({ label, value, readOnly, onChange }: { label: string; value: Outcome; readOnly: boolean; onChange: (value: Outcome) => void }) {
  return (
    <span className={classes.outcome}>
      <OutcomeBadge value={value} />
      {!readOnly && (
        <NativeSelect
          size="xs"
          aria-label={label}
          value={value}
          data={outcomeChoices}
          onChange={(event) => onChange(event.currentTarget.value as Outcome)}
        />
      )}
    </span>
  )
}

export interface Drag {
  /** Key of the rule that is being dragged. */
  rule: string | undefined
  /** Index before which it would land. */
  over: number | undefined
  start: (event: DragEvent, rule: string, from: number) => void
  hover: (event: DragEvent, index: number) => void
  drop: (event: DragEvent) => void
  end: () => void
}

// Dragging is a shortcut for the pointer; the arrows in each rule do the same.
function useDrag(onMove: (rule: string, to: number) => void): Drag {
  const [state, setState] = useState<{ rule: string; from: number; over?: number }>()
  const latest = useRef(onMove)
  useEffect(() => {
    latest.current = onMove
  })
  return {
    rule: state?.rule,
    over: state?.over,
    start: (event, rule, from) => {
      event.dataTransfer.effectAllowed = 'move'
      event.dataTransfer.setData('text/plain', rule)
      setState({ rule, from })
    },
    hover: (event, index) => {
      if (state === undefined) return
      event.preventDefault()
      const box = event.currentTarget.getBoundingClientRect()
      const over = event.clientY < box.top + box.height / 2 ? index : index + 1
      if (over !== state.over) setState({ ...state, over })
    },
    drop: (event) => {
      event.preventDefault()
      if (state?.over !== undefined) latest.current(state.rule, state.over > state.from ? state.over - 1 : state.over)
      setState(undefined)
    },
    end: () => setState(undefined),
  }
}
