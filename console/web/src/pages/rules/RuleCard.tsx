import { ActionIcon, Tooltip } from '@mantine/core'
import { useEffect, useId, useRef } from 'react'

import type { Fact, Field } from '../../api/types'
import { ChevronDown, Down, Ghost, Grip, Up } from '../../components/icons'
import { Outcome } from '../../components/Outcome'
import { count } from '../../lib/format'
import type { Suggestion } from '../../rules/cel'
import { modeOf } from '../../rules/defaults'
import type { Change, DraftRule } from '../../rules/draft'
import { problemsOfRule } from '../../rules/problems'
import type { Drag } from './ActionView'
import { CelText } from './CelText'
import { RuleForm } from './RuleForm'
import type { Check } from './useCheck'
import classes from './RuleCard.module.css'

interface Props {
  action: string
  rule: DraftRule
  index: number
  total: number
  isNew: boolean
  check: Check
  facts: readonly Suggestion[]
  vocabulary: readonly Fact[]
  fields: readonly Field[]
  opened: boolean
  readOnly: boolean
  drag: Drag
  dispatch: (change: Change) => void
  onOpen: (rule: string | undefined) => void
  onMove: (to: number) => void
  onRemove: () => void
}

/** One rule: a line to read, and the form below it when it is open. */
export function RuleCard({ action, rule, index, total, isNew, check, facts, vocabulary, fields, opened, readOnly, drag, dispatch, onOpen, onMove, onRemove }: Props) {
  const item = useRef<HTMLLIElement>(null)
  const form = useId()
  const problems = problemsOfRule(check.problems, rule)
  const mode = modeOf(rule)
  const name = rule.name || 'Rule without a name'

  // A link may lead to a rule far down the page.
  useEffect(() => {
    if (opened) item.current?.scrollIntoView({ block: 'nearest' })
  }, [opened])

  const edge = drag.rule === undefined ? undefined : drag.over === index ? 'above' : drag.over === index + 1 ? 'below' : undefined
  return (
    <li
      ref={item}
      className={classes.card}
      data-open={opened || undefined}
      data-mode={mode}
      data-edge={edge}
      data-dragged={drag.rule === rule.key || undefined}
      onDragOver={(event) => drag.hover(event, index)}
      onDrop={drag.drop}
    >
      <div className={classes.line}>
        {!readOnly && (
          <span
            className={classes.grip}
            draggable
            aria-hidden="true"
            title="Drag to move"
            onDragStart={(event) => {
              if (item.current !== null) event.dataTransfer.setDragImage(item.current, 12, 20)
              drag.start(event, rule.key, index)
            }}
            onDragEnd={drag.end}
          >
            <Grip size={15} />
          </span>
        )}
        <span className={classes.number}>{index + 1}</span>
        <button type="button" className={classes.summary} aria-expanded={opened} aria-controls={form} onClick={() => onOpen(opened ? undefined : rule.key)}>
          <span className={classes.head}>
            <span className={classes.name}>{name}</span>
            {mode === 'shadow' && (
              <span className={classes.mode}>
                <Ghost size={12} /> Shadow
              </span>
            )}
            {mode === 'off' && <span className={classes.mode}>Off</span>}
            {problems.length > 0 && <span className={classes.bad}>{count(problems.length, 'problem')}</span>}
          </span>
          {!opened && (rule.when === '' ? <span className="dim">No condition yet</span> : <CelText text={rule.when} className={classes.when} />)}
        </button>
        <Outcome value={rule.outcome} />
        {!readOnly && (
          <span className={classes.moves}>
            <Tooltip label="Move up">
              <ActionIcon size="sm" aria-label={`Move ${name} up`} disabled={index === 0} onClick={() => onMove(index - 1)}>
                <Up size={14} />
              </ActionIcon>
            </Tooltip>
            <Tooltip label="Move down">
              <ActionIcon size="sm" aria-label={`Move ${name} down`} disabled={index === total - 1} onClick={() => onMove(index + 1)}>
                <Down size={14} />
              </ActionIcon>
            </Tooltip>
          </span>
        )}
        <button type="button" tabIndex={-1} aria-hidden="true" className={classes.chevron} onClick={() => onOpen(opened ? undefined : rule.key)}>
          <ChevronDown size={16} />
        </button>
      </div>
      <div id={form} hidden={!opened}>
        {opened && (
          <RuleForm
            action={action}
            rule={rule}
            isNew={isNew}
            problems={problems}
            checked={check.checked}
            facts={facts}
            vocabulary={vocabulary}
            fields={fields}
            readOnly={readOnly}
            dispatch={dispatch}
            onRemove={onRemove}
          />
        )}
      </div>
    </li>
  )
}
